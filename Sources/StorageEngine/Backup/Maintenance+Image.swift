extension Maintenance {
    /// Runs a closure while no file is removed, with what the manifest says, durably: its segments,
    /// and the log files behind its log's start, stay as they are.
    ///
    /// Waits for an edit that is being written.
    func keepingFiles<R>(
        _ body: (ManifestState) throws(EngineError) -> R
    ) throws(EngineError) -> R {
        try keepingFiles { _, _ throws(EngineError) in
            lock.acquire()
            while state.isInstalling { condition.wait(lock) }
            // Nobody has the install role: the manifest's writer may be looked at.
            let durable = manifest.state
            lock.release()
            return try body(durable)
        }
    }
}
