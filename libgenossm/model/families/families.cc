#include "libgenossm/model/families/families.h"

#include <array>

namespace genossm {

std::span<const Family> families() {
  static const std::array<Family, 6> list{caduceus_family,      hyenadna_family,
                                          stripedhyena2_family, stripedhyena_family,
                                          mamba_hf_family,      mamba_family};
  return list;
}

const Family& family_of(const Json& config) {
  for (const Family& family : families()) {
    if (family.claims(config)) return family;
  }
  std::string known;
  for (const Family& family : families()) {
    known += (known.empty() ? "" : "; ") + std::string(family.name);
  }
  fail(Fault::checkpoint, config.where() + ": no supported model family (model_type '" +
                              config.text("model_type", "") + "'); supported: " + known);
}

}  // namespace genossm
