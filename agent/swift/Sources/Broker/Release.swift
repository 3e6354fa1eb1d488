/// The release that this package belongs to: the `version` of deno.json.
public let release = "0.1.0"

/// The one version of the protocol that this broker speaks.
public let protocolVersion: UInt64 = 1
