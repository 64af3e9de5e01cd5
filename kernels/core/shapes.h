// The sentences of the ops' checks: "norm: weight is [37], want [64]".
#pragma once

#include <string>

#include "kernels/core/error.h"
#include "kernels/core/view.h"

namespace genossm {

template <std::size_t Rank>
std::string shape_of(const std::array<Index, Rank>& extent) {
  std::string out = "[";
  for (const Index n : extent) out += (out.size() > 1 ? ", " : "") + std::to_string(n);
  return out + "]";
}

// Throws Error{Fault::shape} unless the view has just these extents.
template <class T, int Rank>
void want_shape(const char* op, const char* name, const View<T, Rank>& view,
                const std::array<Index, static_cast<std::size_t>(Rank)>& wanted) {
  if (view.extent == wanted) return;
  fail(Fault::shape, std::string(op) + ": " + name + " is " + shape_of(view.extent) + ", want " +
                         shape_of(wanted));
}
// The same where an empty view is allowed.
template <class T, int Rank>
void want_shape_or_empty(const char* op, const char* name, const View<T, Rank>& view,
                         const std::array<Index, static_cast<std::size_t>(Rank)>& wanted) {
  if (!view.empty()) want_shape(op, name, view, wanted);
}

}  // namespace genossm
