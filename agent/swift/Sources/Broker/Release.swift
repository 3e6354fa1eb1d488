/// The release of this package.
///
/// It equals `version` in deno.json.
public let release = "0.1.0"

/// The one version of the protocol that this broker speaks.
public let protocolVersion: UInt64 = 1
