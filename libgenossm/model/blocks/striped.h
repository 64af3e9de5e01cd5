// The Hyena operators of StripedHyena 1 and 2 on a device: in_proj -> short FIR -> x2, x1, v ->
// x2 * conv(x1 * v) -> out_proj, where conv is a FIR or a recurrence. State: the tail of the short
// FIR [W-1, 3D], then that of the FIR [W-1, D] or the states of the recurrence [N, Q, D].
#pragma once

#include <vector>

#include "libgenossm/model/blocks/linear.h"
#include "libgenossm/model/mixer.h"

namespace genossm {

// The weights of StripedSpec but for the projections, in the order of x2 | x1 | v and as the ops
// want them.
struct StripedFilters {
  explicit StripedFilters(const StripedSpec& spec);
  std::vector<Index> order;              // which row of in_proj each column is
  Buffer<float> short_taps, short_bias;  // [W, 3D], [3D]
  Buffer<float> taps;                    // [G, T]
  Buffer<float> poles, low, residues;    // [N, Q, D]; low: what float32 leaves of the poles
  Buffer<float> skip;                    // [D]
};

std::unique_ptr<Mixer> make_mixer(const Placement& place, const StripedSpec& spec);

}  // namespace genossm
