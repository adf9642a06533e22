/** What a case of the compliance kit fails with. */
import * as Schema from "effect/Schema"

/**
 * A promise that a transport did not keep. `group` and `case` say where; `promised` and `seen` are sentences
 * for people; `cause` is what the case stumbled over, where there is such.
 *
 * @since 0.1.0
 * @category errors
 */
export class ComplianceFailure extends Schema.TaggedError<ComplianceFailure>("synapse-p2p/testing/ComplianceFailure")(
  "ComplianceFailure",
  {
    group: Schema.String,
    case: Schema.String,
    promised: Schema.String,
    seen: Schema.String,
    cause: Schema.optional(Schema.Defect)
  }
) {
  override get message(): string {
    return `promised: ${this.promised}\nseen: ${this.seen}\n(${this.group}: ${this.case})`
  }
}
