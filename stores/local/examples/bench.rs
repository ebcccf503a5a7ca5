//! bench
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]
use ferry_core::store::*;
use ferry_core::*;
use ferry_store_local::*;
use std::sync::Arc;
use std::time::Instant;
fn req(at: &str, size: u64, a: Algorithm) -> UploadRequest {
    UploadRequest {
        path: HomePath::parse(at).unwrap(),
        size: Some(size),
        modified: Some(1),
        executable: false,
        algorithm: a,
        expected: None,
        no_clobber: false,
        fresh: false,
    }
}
fn main() {
    for durability in [Durability::Strict, Durability::Relaxed] {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let store = LocalStore::open(dir.path(), Options { durability }).unwrap();
        rt::block_on(async {
            let home = store.home("a", Some(1 << 40)).await.unwrap();
            for flight in [1usize, 16, 64] {
                let n = 3000usize;
                let t = Instant::now();
                let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
                let tasks: Vec<_> = (0..flight)
                    .map(|_| {
                        let home = home.clone();
                        let next = next.clone();
                        rt::spawn(async move {
                            loop {
                                let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                                if i >= n {
                                    break;
                                }
                                let mut u = home
                                    .upload(req(&format!("/f{flight}-{i}"), 1000, Algorithm::Md5))
                                    .await
                                    .unwrap();
                                u.write(Chunk::from(&[7u8; 1000][..])).await.unwrap();
                                u.commit(Algorithm::Md5.digest(&[7; 1000])).await.unwrap();
                            }
                        })
                    })
                    .collect();
                for t in tasks {
                    t.await;
                }
                println!(
                    "{durability:?} small flight {flight}: {:.0}/s",
                    n as f64 / t.elapsed().as_secs_f64()
                );
            }
            for a in [Algorithm::Md5, Algorithm::Blake3] {
                let size = 1u64 << 30;
                let mut h = a.hasher();
                let block = vec![5u8; 256 * 1024];
                for _ in 0..size / block.len() as u64 {
                    h.update(&block)
                }
                let d = h.finish();
                let t = Instant::now();
                let mut u = home.upload(req(&format!("/big{}", a.as_str()), size, a)).await.unwrap();
                for _ in 0..size / block.len() as u64 {
                    u.write(Chunk::full()).await.unwrap();
                }
                let w = t.elapsed();
                let r = u.commit(d).await;
                println!(
                    "{durability:?} big {} write {:.2} GB/s total {:.2} GB/s {:?}",
                    a.as_str(),
                    size as f64 / 1e9 / w.as_secs_f64(),
                    size as f64 / 1e9 / t.elapsed().as_secs_f64(),
                    r.map(|_| ()).map_err(|e| e.kind)
                );
                if std::fs::write(dir.path().join("homes/a/rd"), vec![1u8; 1 << 30]).is_ok() {
                    let t = Instant::now();
                    let mut s = home
                        .open(ReadRequest {
                            path: HomePath::parse("/rd").unwrap(),
                            algorithm: a,
                            held: None,
                        })
                        .await
                        .unwrap();
                    while let Some(c) = s.next().await.unwrap() {
                        std::hint::black_box(&c);
                    }
                    println!(
                        "read {} {:.2} GB/s",
                        a.as_str(),
                        size as f64 / 1e9 / t.elapsed().as_secs_f64()
                    );
                }
            }
        });
    }
}
