//! Digests beside those of well-known crates: `cargo bench -p ferry-core --bench digests`.

use divan::Bencher;
use divan::counter::BytesCount;
use ferry_core::Algorithm;
use ferry_core::chunk::CHUNK_BYTES;

/// Sizes in bytes: one page, as small files have it, and many chunks.
const SIZES: [usize; 2] = [4096, 64 * CHUNK_BYTES];

fn main() {
    divan::main();
}

fn measure(bencher: Bencher<'_, '_>, len: usize, hash: impl Fn(&[u8]) + Sync) {
    let bytes: Vec<u8> = (0..=255).cycle().take(len).collect();
    bencher.counter(BytesCount::new(len)).bench(|| hash(&bytes));
}

fn ours(bytes: &[u8], algorithm: Algorithm) {
    let mut hasher = algorithm.hasher();
    bytes.chunks(CHUNK_BYTES).for_each(|chunk| hasher.update(chunk));
    divan::black_box(hasher.finish());
}

#[divan::bench(args = SIZES)]
fn md5(bencher: Bencher<'_, '_>, len: usize) {
    measure(bencher, len, |bytes| ours(bytes, Algorithm::Md5));
}

#[divan::bench(args = SIZES)]
fn md5_of_the_md5_crate(bencher: Bencher<'_, '_>, len: usize) {
    measure(bencher, len, |bytes| {
        let mut context = md5::Context::new();
        bytes.chunks(CHUNK_BYTES).for_each(|chunk| context.consume(chunk));
        divan::black_box(context.finalize());
    });
}

#[divan::bench(args = SIZES)]
fn blake3(bencher: Bencher<'_, '_>, len: usize) {
    measure(bencher, len, |bytes| ours(bytes, Algorithm::Blake3));
}
