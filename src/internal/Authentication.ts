/**
 * What this node asks of the other end of a link before it takes its HELLO, and proves to it: docs/PROTOCOL.md, section 9.
 *
 * @internal
 */
import type { Credentials } from "../Credentials.js"
import type { Settings } from "../NetworkConfig.js"
import * as NetworkKey from "../NetworkKey.js"
import type { NodeId } from "../NodeId.js"
import type { LinkProof } from "../Transport.js"

export interface Authentication {
  /** Whether the sender of a HELLO is who the link has proven it to be. A node without a key of its own asks for no proof. */
  readonly isSender: (proven: LinkProof | undefined, sender: NodeId) => boolean
  /** Whether the sender of a HELLO with that proof has the network's key. */
  readonly isMember: (proven: LinkProof | undefined, sender: NodeId, proof: string | undefined) => boolean
  /** This node's own proof; undefined where there is no key, or nothing that a proof could be bound to. */
  readonly proofFor: (proven: LinkProof | undefined) => string | undefined
}

export const make = (
  { credentials, id }: { readonly id: NodeId; readonly credentials: Credentials | undefined },
  keys: Settings["networkKey"]
): Authentication => {
  const [first] = keys
  return {
    isSender: (proven, sender) => credentials === undefined || proven?.id === sender,
    // Without TLS nobody can prove it: whoever asks for it all the same is joined by nobody.
    isMember: (proven, sender, proof) =>
      first === undefined ||
      (credentials !== undefined &&
        proven !== undefined &&
        proof !== undefined &&
        NetworkKey.isProven(credentials, keys, proven.exporter, sender, proof)),
    proofFor: (proven) =>
      first === undefined || credentials === undefined || proven === undefined
        ? undefined
        : NetworkKey.prove(credentials, first, proven.exporter, id)
  }
}
