// Ids that nobody else makes. UUIDs of version 7 begin with the time they were made, by which the
// broker finds an ended job in its archive.

/** A UUIDv7. `random` fills bytes, as crypto.getRandomValues does: that is there without TLS, too. */
export function uuid7(now = Date.now(), random = (bytes) => crypto.getRandomValues(bytes)) {
  const bytes = random(new Uint8Array(16));
  const time = now.toString(16).padStart(12, "0");
  const rest = [...bytes.slice(6)];
  rest[0] = (rest[0] & 0x0f) | 0x70;
  rest[2] = (rest[2] & 0x3f) | 0x80;
  const hex = time + rest.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
