// How products of integers read activations, on every vector set.
#pragma once

#include <cstdint>

namespace quipu {
namespace {

// A word of activations, read from arrays of bytes, of 16-bit integers or of bf16.
using Word __attribute__((may_alias)) = int32_t;

// Keeps the compiler from holding one address for every row, for which there are too few registers.
template <typename T>
const T* opaque(const T* p) {
  __asm__("" : "+r"(p));
  return p;
}

}  // namespace
}  // namespace quipu
