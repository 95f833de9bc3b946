/** Why a call has no answer of the agent's. */
export type DisconnectedReason =
  /** There was no connection within the time allowed: the call was not made. */
  | 'timeout'
  /** The connection broke amid the call: whether it had its effect is not known. */
  | 'cut'
  /** The agent does not take this token: no call is made until `retry()`. */
  | 'refused'
  /** The connection was closed by its owner. */
  | 'closed'

/** A call that could not be answered for want of a connection. What an agent answers with is an `ORPCError`. */
export class DisconnectedError extends Error {
  readonly reason: DisconnectedReason

  constructor(reason: DisconnectedReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DisconnectedError'
    this.reason = reason
  }
}
