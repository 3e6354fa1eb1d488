// Does what sample.c does, in Swift, through the accessors.
#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

func writeSample(_ memory: UnsafeMutableRawBufferPointer) -> Bool {
  let sample = Sample(memory)
  sample.flag = true
  sample.u8 = 200
  sample.i8 = -100
  sample.u16 = 60000
  sample.i16 = -30000
  sample.u32 = 4_000_000_000
  sample.i32 = -2_000_000_000
  sample.u64 = 18_000_000_000_000_000_000
  sample.i64 = -9_000_000_000_000_000_000
  sample.f32 = 0.5
  sample.f64 = 0.1
  sample.title = "héllo"
  sample.flags[2] = 1
  sample.camera[4] = 1.25
  sample.ids[1] = 7
  sample.`in` = -2
  sample.odd.b = 9
  sample.odds[2].a = 10
  sample.odds[2].b = 11
  sample.origin.y = -0.25
  sample.corners[1].x = 1e300
  sample.size.h = 480
  sample.last = 255
  return write(1, memory.baseAddress, memory.count) == memory.count
}

func readSample(_ memory: UnsafeMutableRawBufferPointer) -> Bool {
  guard read(0, memory.baseAddress, memory.count) == memory.count else { return false }
  let s = ReadOnlySample(UnsafeRawBufferPointer(memory))
  print(
    s.flag, s.u8, s.i8, s.u16, s.i16, s.u32, s.i32, s.u64, s.i64, s.f32, s.f64, s.title, s.flags[2], s.camera[4],
    s.ids[1], s.`in`, s.odd.b, s.odds[2].a, s.odds[2].b, s.origin.y, s.corners[1].x, s.size.h, s.last)
  return true
}

let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Sample.byteLength, alignment: Sample.alignment)
memory.initializeMemory(as: UInt8.self, repeating: 0)
exit((CommandLine.arguments.last == "write" ? writeSample(memory) : readSample(memory)) ? 0 : 1)
