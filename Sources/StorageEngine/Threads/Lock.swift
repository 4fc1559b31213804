internal import Glibc

#if !(os(Linux) && (arch(x86_64) || arch(arm64)))
#error("StorageEngine runs on 64-bit Linux only")
#endif

/// A mutual-exclusion lock: a thin wrapper of `pthread_mutex_t`.
///
/// `Synchronization.Mutex` is three times slower when free, and the thread sanitizer misreports it.
/// Thread safety: every method may be called from any thread; it is never held across a system call
/// that touches a file.
package final class Lock: @unchecked Sendable {
    // A mutex must not move, hence its own allocation.
    fileprivate let mutex: UnsafeMutablePointer<pthread_mutex_t>

    package init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        precondition(pthread_mutex_init(mutex, nil) == 0)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    package func acquire() { pthread_mutex_lock(mutex) }
    package func release() { pthread_mutex_unlock(mutex) }

    /// Runs a closure while holding the lock.
    package func with<R: ~Copyable, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        acquire()
        defer { release() }
        return try body()
    }
}

/// A condition variable on the monotonic clock, to be used with one ``Lock``.
///
/// Thread safety: `wait` needs the lock held; `signal` and `broadcast` may be called by anyone.
package final class Condition: @unchecked Sendable {
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    package init() {
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        precondition(pthread_cond_init(condition, &attributes) == 0)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
    }

    /// Waits for a signal; may return without one.
    package func wait(_ lock: Lock) { pthread_cond_wait(condition, lock.mutex) }

    /// Waits for a signal until a time of the monotonic clock, in nanoseconds.
    package func wait(_ lock: Lock, until deadline: UInt64) {
        var time = timespec(
            tv_sec: Int(deadline / 1_000_000_000),
            tv_nsec: Int(deadline % 1_000_000_000)
        )
        pthread_cond_timedwait(condition, lock.mutex, &time)
    }

    package func signal() { pthread_cond_signal(condition) }
    package func broadcast() { pthread_cond_broadcast(condition) }
}
