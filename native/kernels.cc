#include "kernels.h"

namespace quipu {

extern const Kernels portable_kernels;
#if defined(QUIPU_X86)
extern const Kernels avx2_kernels;
extern const Kernels avx_vnni_kernels;
extern const Kernels avx512_vnni_kernels;
extern const Kernels avx512_kernels;
#endif
#if defined(QUIPU_AMX)
extern const Kernels amx_kernels;
#endif

int32_t runnable_kernels(const Kernels** out) {
  int32_t count = 0;
  out[count++] = &portable_kernels;
#if defined(QUIPU_X86)
  const Isa best = detect_isa();
  static const Extensions extensions = detect_extensions();
  if (best >= Isa::avx2) out[count++] = &avx2_kernels;
  if (best >= Isa::avx2 && extensions.avx_vnni) out[count++] = &avx_vnni_kernels;
  if (best >= Isa::avx512) out[count++] = &avx512_vnni_kernels;
  if (best >= Isa::avx512 && extensions.avx512_bf16) out[count++] = &avx512_kernels;
#endif
#if defined(QUIPU_AMX)
  if (best >= Isa::amx) out[count++] = &amx_kernels;
#endif
  return count;
}

const Kernels& kernels_of(Isa isa) {
  const Kernels* all[max_kernels];
  int32_t last = runnable_kernels(all) - 1;
  while (all[last]->isa > isa) --last;
  return *all[last];
}

bool has_kernels(Isa isa) { return kernels_of(isa).isa == isa; }

}  // namespace quipu
