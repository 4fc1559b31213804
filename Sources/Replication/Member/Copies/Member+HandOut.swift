internal import StorageEngine

// How copies are handed out: jobs that make them, and jobs that read their parts, so that nobody
// waits for a copy that is made for somebody else.

extension Member {
    func performCopy(_ action: CoreAction, _ life: UInt64) {
        switch action {
        case .openCopy(let session, let since, _, let isWhole):
            openCopy(session, since, isWhole: isWhole, life)
        case .readPart(let session, let copy, let index): readPart(session, copy, index, life)
        default: preconditionFailure("no action of copies")
        }
    }

    private func openCopy(_ session: UInt64, _ since: Tail, isWhole: Bool, _ life: UInt64) {
        // A follower that has waited too long for another copy to be made has greeted anew, and
        // asks again.
        let found = lock.with {
            life == state.life && state.core.sessions.contains(session) ? state.engine : nil
        }
        guard let engine = found else { return }
        do throws(EngineError) {
            let offer = try copies.offer(
                of: engine,
                since: since,
                isWhole: isWhole,
                id: environment.entropy,
                now: { now }
            )
            lock.with {
                guard life == state.life, state.engine === engine else { return }
                give(.copyOpened(session: session, offer))
            }
        } catch {
            // The follower asks again when nothing comes.
            broadcast.send(.storeFailed(error))
        }
    }

    private func readPart(_ session: UInt64, _ copy: UInt64, _ index: UInt64, _ life: UInt64) {
        do throws(EngineError) {
            guard let bytes = try copies.part(index, of: copy, now: now) else { return }
            pace(bytes.count)
            lock.with {
                guard life == state.life else { return }
                let part = CopyPart(
                    copy: copy,
                    index: index,
                    size: UInt64(bytes.count),
                    payload: state.keep(.bytes(bytes))
                )
                give(.partRead(session: session, part), naming: part.payload)
            }
        } catch {
            broadcast.send(.storeFailed(error))
        }
    }

    /// Waits so long that no more is read than allowed.
    private func pace(_ size: Int) {
        guard let rate = copies.rate, rate > 0 else { return }
        let nanoseconds = UInt64(size) * 1_000_000_000 / rate
        let end = environment.time.monotonicNanoseconds + nanoseconds
        lock.with {
            while state.phase == .open, environment.time.monotonicNanoseconds < end {
                changed.wait(lock, until: end)
            }
        }
    }
}
