// What is dropped or refused, and what that may mean, by reason.

const MEDIA = {
  fragment: "a fragment: media fits into one packet",
  malformed: "lengths that contradict each other, or IP options",
  "no-flow": "no call has this port: somebody tries ports, or a call has just ended",
  "no-next-hop": "there is no route to the other side, or its neighbour does not answer",
  "no-peer": "the other side has not said yet where it listens",
  "no-room": "the frame has no room for the header of the other family",
  "not-rtp": "neither RTP nor RTCP",
  "payload-type": "a codec that was not agreed upon",
  ssrc: "another stream than the one that the call has",
  "too-big": "larger than the way out takes",
  "wrong-source": "for a call, but not from where its signalling says: a NAT, a second interface, or somebody else",
};

const SIP = {
  banned: "from who is banned: dropped unread",
  credentials: "a wrong name or password",
  flood: "more than a stranger may send: dropped unread",
  malformed: "no SIP that can be understood: the metrics say what is wrong with it",
  "no-credentials": "the first request of every phone, which is asked for its password then",
  "not-local": "from a phone, where phones may not be",
  overload: "more at once than a queue takes",
  replayed: "an answer that has been given before, asked again",
  "stale-nonce": "an answer to a question that is too old, asked again",
  stranger: "neither a trunk's address nor a phone that is registered",
  "stray-response": "an answer to nothing that was asked",
  throttled: "after too many wrong passwords from there: it has to wait",
  unanswered: "asked too often by who may have forged his address: he gets no answer",
  "unusable-credentials": "a name and password that cannot be read",
  "weak-algorithm": "a password hashed as the network does not allow",
};

// In words, or nothing where there are none.
export const why = (kind, reason) => (kind === "media" ? MEDIA[reason] : SIP[reason]) ?? "";
