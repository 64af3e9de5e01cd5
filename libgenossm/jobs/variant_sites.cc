#include "libgenossm/jobs/variant_sites.h"

#include <algorithm>

#include "libgenossm/base/text.h"

namespace genossm {
namespace {

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

AlleleStatus status_of(AlleleKind kind) {
  switch (kind) {
    case AlleleKind::dna:
      return AlleleStatus::ok;
    case AlleleKind::symbolic:
      return AlleleStatus::symbolic;
    case AlleleKind::breakend:
      return AlleleStatus::breakend;
    case AlleleKind::star:
      return AlleleStatus::star;
    case AlleleKind::missing:
      return AlleleStatus::missing;
    case AlleleKind::ambiguous:
      return AlleleStatus::ambiguous;
    case AlleleKind::other:
      break;
  }
  return AlleleStatus::not_dna;
}

}  // namespace

const std::string* SiteMaker::contig_of(const std::string& name) {
  const auto [found, fresh] = contigs_.try_emplace(name);
  if (fresh) {
    found->second = find_contig(*genome_, name).value_or("");
    if (!found->second.empty() && found->second != name) {
      ++warnings_["contig '" + shown(name) + "' is '" + shown(found->second) +
                  "' in the reference"];
    }
  }
  return found->second.empty() ? nullptr : &found->second;
}

void SiteMaker::look_at_order(const VariantRecord& record) {
  if (record.contig != last_contig_) {
    if (!last_contig_.empty()) left_[last_contig_] = true;
    if (left_.count(record.contig)) ++warnings_["records not sorted by contig"];
  } else if (record.at < last_at_) {
    ++warnings_["records not sorted by position"];
  } else if (record.at == last_at_ && record.ref == last_ref_ && record.alts == last_alts_) {
    ++warnings_["records that repeat the one before"];
  }
  last_contig_ = record.contig;
  last_at_ = record.at;
  last_ref_ = record.ref;
  last_alts_ = record.alts;
}

AlleleStatus SiteMaker::common_status(const VariantRecord& record, Site& site) {
  if (genome_ == nullptr) {
    site.window = upper(record.window);
    if (static_cast<Index>(site.window.size()) != window_) {
      fail(Fault::input, "line " + std::to_string(record.number) + ": the sequence has " +
                             std::to_string(site.window.size()) + " bases, want the window's " +
                             std::to_string(window_));
    }
  } else {
    const std::string* contig = contig_of(record.contig);
    if (contig == nullptr) return AlleleStatus::no_contig;
    site.contig = *contig;
    const auto end = record.at + static_cast<Index>(record.ref.size());
    if (record.at < 0 || end > genome_->length(site.contig)) return AlleleStatus::edge;
  }
  const AlleleStatus ref = status_of(kind_of_allele(record.ref));
  if (ref == AlleleStatus::ambiguous) return ref;
  if (ref != AlleleStatus::ok) return AlleleStatus::not_dna;
  std::string there;
  if (genome_ == nullptr) {
    there = site.window.substr(static_cast<std::size_t>(anchor_), record.ref.size());
  } else {
    there =
        text_->window(site.contig, record.at, record.at + static_cast<Index>(record.ref.size()));
  }
  // U of an RNA reference is T; smallest_change() reads alleles the same way.
  std::replace(there.begin(), there.end(), 'U', 'T');
  if (there == smallest_change(0, record.ref, "").ref) return AlleleStatus::ok;
  if (mismatch_ == RefMismatch::error) {
    fail(Fault::input, record.place() + ": REF is " + shown(record.ref) + ", the reference has " +
                           shown(there) + " there. --ref-mismatch skip goes on without the record");
  }
  site.ref_differs = true;
  return mismatch_ == RefMismatch::skip ? AlleleStatus::ref_mismatch : AlleleStatus::ok;
}

Site SiteMaker::make(const VariantRecord& record) {
  look_at_order(record);
  Site site;
  site.alleles.resize(record.alts.size());
  const AlleleStatus common = common_status(record, site);
  for (std::size_t a = 0; a < record.alts.size(); ++a) {
    Allele& allele = site.alleles[a];
    allele.status = status_of(kind_of_allele(record.alts[a]));
    if (allele.status != AlleleStatus::ok) continue;
    allele.status = common;
    if (common != AlleleStatus::ok) continue;
    const Index at = genome_ == nullptr ? anchor_ : record.at;
    allele.change = smallest_change(at, record.ref, record.alts[a]);
    if (allele.change.ref.empty() && allele.change.alt.empty()) {
      allele.status = AlleleStatus::same;
    } else if (site.ref_differs) {
      // What REF and ALT share may be what the reference lacks: both stand whole.
      allele.change = {at, smallest_change(at, record.ref, "").ref,
                       smallest_change(at, record.alts[a], "").ref};
    } else if (genome_ == nullptr && allele.change.at != anchor_) {
      allele.status = AlleleStatus::not_snv;  // its window is another one
    }
  }
  return site;
}

}  // namespace genossm
