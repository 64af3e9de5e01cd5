#include "libgenossm/tokenizer/nucleotide.h"

#include <string_view>

namespace genossm {

bool is_ambiguity_code(char c) {
  return std::string_view("NRYSWKMBDHV").find(to_upper(c)) != std::string_view::npos;
}

char complement(char c) {
  constexpr std::string_view kCode = "ACGTURYKMBVDHSWN";
  constexpr std::string_view kPartner = "TGCAAYRMKVBHDSWN";
  const auto at = kCode.find(to_upper(c));
  if (at == std::string_view::npos) return c;
  return to_upper(c) == c ? kPartner[at] : to_lower(kPartner[at]);
}

}  // namespace genossm
