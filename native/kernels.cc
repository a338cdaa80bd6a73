#include "kernels.h"

namespace quipu {

extern const Kernels portable_kernels;
#if defined(QUIPU_X86)
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
#if defined(QUIPU_AMX)
extern const Kernels amx_kernels;
#endif
#endif

const Kernels& kernels_of([[maybe_unused]] Isa isa) {
#if defined(QUIPU_X86)
#if defined(QUIPU_AMX)
  if (isa == Isa::amx) return amx_kernels;
#endif
  if (isa >= Isa::avx512) return avx512_kernels;
  if (isa == Isa::avx2) return avx2_kernels;
#endif
  return portable_kernels;
}

bool has_kernels(Isa isa) { return kernels_of(isa).isa == isa; }

}  // namespace quipu
