// bf16 in AVX-512: with the instructions for it, or where the unit is compiled without them what
// they do, by fp32. Products then round twice a pair as well; only subnormals differ.
#pragma once

#include <immintrin.h>

namespace quipu {
namespace {

#if defined(__AVX512BF16__)

// sum + products of the pairs of bf16 in each word.
__m512 add_pairs(__m512 sum, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

// To the nearest, ties to even; a NaN stays one.
__m256i narrow_to_bf16(__m512 x) { return (__m256i)_mm512_cvtneps_pbh(x); }
__m512i narrow_to_bf16(__m512 first, __m512 second) {
  return (__m512i)_mm512_cvtne2ps_pbh(second, first);
}

#else

__m512 add_pairs(__m512 sum, __m512i a, __m512i b) {
  const __m512i high = _mm512_set1_epi32(-65536);
  const auto odd = [&](__m512i x) { return _mm512_castsi512_ps(_mm512_and_si512(x, high)); };
  const auto even = [](__m512i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)); };
  return _mm512_fmadd_ps(even(a), even(b), _mm512_fmadd_ps(odd(a), odd(b), sum));
}

__m256i narrow_to_bf16(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i last = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i carried =
      _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), last);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i out = _mm512_mask_mov_epi32(carried, nan, _mm512_set1_epi32(0x7fc00000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(out, 16));
}
__m512i narrow_to_bf16(__m512 first, __m512 second) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(narrow_to_bf16(first)),
                            narrow_to_bf16(second), 1);
}

#endif

}  // namespace
}  // namespace quipu
