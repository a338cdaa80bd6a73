// Which instruction set the kernels use: detected once, forced by QUIPU_ISA.
#pragma once

namespace quipu {

// In rising order: a machine that has one has all before it.
enum class Isa { portable, avx2, avx512, amx };

struct IsaChoice {
  Isa isa;
  const char* error;  // null, or why the forced choice cannot be had
};

const char* isa_name(Isa isa);

// The best set that processor and operating system both offer. Executes baseline instructions only.
// For amx it asks Linux for the tile registers, once per process; threads made before do not count.
Isa detect_isa();

// What some machines of a set have and others lack; kernels_of takes kernels that use it.
struct Extensions {
  bool avx_vnni;     // of avx2: byte dot products, on newer machines without AVX-512
  bool avx512_bf16;  // of avx512: Ice Lake and Cascade Lake lack it
};
Extensions detect_extensions();

// `forced` is the value of QUIPU_ISA: null or empty for the best.
IsaChoice choose_isa(const char* forced, Isa best);

}  // namespace quipu
