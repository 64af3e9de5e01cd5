// From a record to alleles that can be scored, or a reason why they cannot.
#pragma once

#include <map>

#include "libgenossm/jobs/variants.h"

namespace genossm {

class SiteMaker {
 public:
  // `genome` and `text` may be null where tables bring windows of `window` bases with the variant
  // at `anchor`.
  SiteMaker(const Genome* genome, ContigText* text, RefMismatch mismatch, Index window,
            Index anchor)
      : genome_(genome), text_(text), mismatch_(mismatch), window_(window), anchor_(anchor) {}

  // Throws Fault::input where REF differs and that is to be an error, and for a window that does
  // not fit.
  Site make(const VariantRecord& record);

  // Warnings so far, each with how often.
  const std::map<std::string, Index>& warnings() const { return warnings_; }

 private:
  // The status that all alleles of the record share, if they do.
  AlleleStatus common_status(const VariantRecord& record, Site& site);
  const std::string* contig_of(const std::string& name);
  void look_at_order(const VariantRecord& record);

  const Genome* genome_;
  ContigText* text_;
  RefMismatch mismatch_;
  Index window_, anchor_;
  std::map<std::string, std::string> contigs_;  // as records spell them: the reference, or nothing
  std::map<std::string, Index> warnings_;
  std::string last_contig_, last_ref_;
  std::vector<std::string> last_alts_;
  Index last_at_ = -2;
  std::map<std::string, bool> left_;  // contigs that records have moved on from
};

}  // namespace genossm
