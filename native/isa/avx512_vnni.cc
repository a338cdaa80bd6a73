// Kernels for AVX-512 machines without BF16, Cascade Lake to Rocket Lake.
#include "avx512.cc"
