// Kernels for AVX2 machines with AVX-VNNI, from Alder Lake on.
#define QUIPU_AVX_VNNI
#include "avx2.cc"
