//! What the process asks of its allocator before models are loaded.

/// Large blocks go back to the system as soon as they are freed; whether the allocator agreed. Call it first
/// thing in `main`, while there is one thread.
///
/// glibc maps large blocks singly, but raises what it calls large to the largest block freed so far (up to
/// 32 MiB). With the megabytes that ONNX Runtime takes and frees for each window everything soon comes from heaps,
/// which keep what one window took. A threshold that is set stays. Where glibc is not, nothing is done.
pub fn return_large_blocks() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the standard library has no say over the allocator")]
    // SAFETY: `mallopt` writes an integer of the allocator; it has no precondition but that no thread is in its
    // first allocation meanwhile, and this one has allocated before `main`.
    return unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES) } == 1;
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}

/// The size from which on a block is mapped singly.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES: libc::c_int = 200_000;

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    #[test]
    fn glibc_agrees() {
        assert!(super::return_large_blocks());
    }
}
