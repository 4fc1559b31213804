/// A copy that was begun, and how many of its parts the host has.
package struct PartialCopy: Hashable, Sendable {
    package var offer: CopyOffer
    package var next: UInt64

    package init(offer: CopyOffer, next: UInt64) {
        self.offer = offer
        self.next = next
    }
}
