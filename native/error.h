// What an operation answers when its arguments cannot be right. Kernels themselves never fail.
#pragma once

namespace quipu {

// Null if all is well, else a constant sentence that says what is wrong.
using Error = const char*;
constexpr Error ok = nullptr;

}  // namespace quipu
