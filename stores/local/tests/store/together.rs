//! Many tasks that disturb each other: whatever happens, the books stay right.

use std::time::Duration;

use ferry_core::store::{Home, UploadRequest, WholeUpload};
use ferry_core::{Chunk, ErrorKind, Result, rt};

use crate::{Bed, bytes, md5, path, recount, request, write};

const TASKS: u64 = 8;
const STEPS: u32 = 60;
const LIMIT: u64 = 3_000_000;

/// A small generator (splitmix64): the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// Does one thing; most of what it does can fail because of somebody else.
async fn step(home: &dyn Home, random: &mut Random) -> Result<()> {
    let name = |random: &mut Random| format!("/{}", random.below(4));
    let at = name(random);
    match random.below(10) {
        8.. => {
            let content = bytes([0, 10, 1000, 60_000][usize::try_from(random.below(4)).unwrap()]);
            let whole = WholeUpload {
                request: UploadRequest {
                    no_clobber: random.below(4) == 0,
                    ..request(&at, content.len())
                },
                digest: md5(&content),
                contents: Chunk::from(&content[..]).into(),
                spare_same: random.below(4) == 0,
            };
            home.store(whole).await.map(drop)
        }
        0 => home.remove_file(&path(&at)).await,
        1 => home.rename(&path(&at), &path(&name(random)), random.below(2) == 0).await,
        2 => match home.partials().await?.first() {
            Some(partial) => home.remove_partial(&partial.id).await,
            None => Ok(()),
        },
        _ => {
            let size = [0, 10, 1000, 600_000][usize::try_from(random.below(4)).unwrap()];
            let content = bytes(size);
            let declared = random.below(4) > 0;
            let wanted = UploadRequest {
                size: declared.then_some(size as u64),
                fresh: random.below(4) == 0,
                no_clobber: random.below(4) == 0,
                expected: (random.below(2) == 0).then(|| md5(&content)),
                ..request(&at, size)
            };
            let mut upload = home.upload(wanted).await?;
            let offset = usize::try_from(upload.start().offset).unwrap().min(size);
            let end = match random.below(3) {
                0 => (offset + size) / 2,
                _ => size,
            };
            match random.below(2) {
                0 => write(&mut *upload, &content[offset..end]).await?,
                // In pieces that are no chunks.
                _ => {
                    for piece in content[offset..end].chunks(size / 3 + 1) {
                        for chunk in piece.chunks(ferry_core::chunk::CHUNK_BYTES) {
                            upload.write(Chunk::from(chunk)).await?;
                        }
                    }
                }
            }
            match random.below(5) {
                0 => Ok(()),
                1 => upload.commit(md5(b"wrong")).await.map(drop),
                _ => upload.commit(md5(&content)).await.map(drop),
            }
        }
    }
}

#[test]
fn the_books_are_right_after_any_disorder() {
    let bed = Bed::new(Some(LIMIT));
    let tasks: Vec<_> = (0..TASKS)
        .map(|seed| {
            let home = bed.home.clone();
            rt::spawn(async move {
                let mut random = Random(seed);
                for _ in 0..STEPS {
                    match step(&*home, &mut random).await {
                        Err(error) if error.kind == ErrorKind::Internal => panic!("{error}: {:?}", error.source),
                        // Everything else is what others may do to one.
                        _ => {}
                    }
                    let usage = home.usage().await.unwrap();
                    assert!(usage.used + usage.reserved <= LIMIT, "{usage:?}");
                }
            })
        })
        .collect();
    rt::block_on(async {
        for task in tasks {
            task.await;
        }
    });
    let partials = rt::block_on(bed.home.partials()).unwrap();
    let declared: u64 = partials.iter().filter_map(|partial| partial.size).sum();
    let (used, reserved) = bed.books();
    assert!(declared <= reserved && (used + reserved) <= LIMIT);
    assert_eq!(bed.staged().iter().filter(|name| !name.contains('.')).count(), partials.len());
    for partial in partials {
        rt::block_on(bed.home.remove_partial(&partial.id)).unwrap();
    }
    assert_eq!(bed.books(), (used, 0));
    assert!(bed.staged().is_empty());
    let bed = bed.restart(true);
    assert_eq!((bed.usage().used, recount(&bed.real(""))), (used, used));
}

#[test]
fn transfers_that_stand_still_take_nobody_the_threads() {
    // More than the pool has threads (500): without a bound, nothing would go on.
    const IDLE: usize = 600;
    let bed = Bed::new(None);
    let content = bytes(1_500_000);
    bed.put("/f", &content).unwrap();
    let request = || ferry_core::store::ReadRequest::new(path("/f"));
    let work = async {
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            let mut source = bed.home.open(request()).await.unwrap();
            source.next().await.unwrap();
            idle.push(source);
        }
        let mut uploads = Vec::new();
        for i in 0..4 {
            let mut upload = bed
                .home
                .upload(crate::request(&format!("/{i}"), content.len()))
                .await
                .unwrap();
            write(&mut *upload, &content[..1_000_000]).await.unwrap();
            uploads.push(upload);
        }
        for (i, mut upload) in uploads.into_iter().enumerate() {
            if i % 2 == 0 {
                // One that breaks off is there to go on with, like any other.
                drop(upload);
                upload = bed
                    .home
                    .upload(crate::request(&format!("/{i}"), content.len()))
                    .await
                    .unwrap();
                assert_eq!(upload.start().offset, 1_000_000);
            }
            write(&mut *upload, &content[1_000_000..]).await.unwrap();
            upload.commit(md5(&content)).await.unwrap();
        }
        let mut last = idle.pop().unwrap();
        let mut len = content.len().min(ferry_core::chunk::CHUNK_BYTES);
        while let Some(chunk) = last.next().await.unwrap() {
            assert_eq!(chunk[..], content[len..len + chunk.len()]);
            len += chunk.len();
        }
        assert_eq!((len, last.digest()), (content.len(), md5(&content)));
    };
    rt::block_on(rt::timeout(Duration::from_secs(120), work)).unwrap();
    assert_eq!(bed.books(), (5 * content.len() as u64, 0));
    assert!(bed.staged().is_empty());
}
