#include "libgenossm/model/probe.h"

#include <algorithm>
#include <cmath>

namespace genossm {

View<const float, 1> step_sizes(View<const float, 1> dt, View<const float, 1> bias, float least,
                                float most, View<float, 1> out) {
  constexpr double kThreshold = 20;  // upstream: torch softplus
  for (Index c = 0; c < dt.extent[0]; ++c) {
    const double x = double{dt.data[c]} + (bias.empty() ? 0.0 : double{bias.data[c]});
    const double soft = x > kThreshold ? x : std::log1p(std::exp(x));
    // NaN goes through.
    out.data[c] = soft < least ? least : soft > most ? most : static_cast<float>(soft);
  }
  return out;
}

}  // namespace genossm
