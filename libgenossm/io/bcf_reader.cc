// BCF through htslib.
#include <htslib/vcf.h>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/io/variant_readers.h"

namespace genossm {
namespace {

class BcfReader final : public VariantReader {
 public:
  BcfReader(HFileHandle file, std::string label) : label_(std::move(label)) {
    file_.reset(hts_hopen(file.get(), label_.c_str(), "r"));
    if (!file_) fail(Fault::input, label_ + ": cannot be read as BCF");
    static_cast<void>(file.release());  // the htsFile owns it now
    header_.format = VariantFormat::bcf;
    header_.hts = std::shared_ptr<bcf_hdr_t>(bcf_hdr_read(file_.get()), FreeBcf());
    if (!header_.hts) fail(Fault::input, label_ + ": the BCF header is malformed or cut");
    kstring_t text = KS_INITIALIZE;
    const int formatted = bcf_hdr_format(header_.hts.get(), 0, &text);
    const std::string all(text.s ? text.s : "", text.l);
    ks_free(&text);
    if (formatted != 0) fail(Fault::input, label_ + ": the BCF header is malformed");
    for (std::size_t from = 0; from < all.size();) {
      const std::size_t end = std::min(all.find('\n', from), all.size());
      if (end > from) header_.lines.push_back(all.substr(from, end - from));
      from = end + 1;
    }
  }

  bool next(VariantRecord& record) override {
    if (!record.bcf) record.bcf.reset(bcf_init());
    if (!record.bcf) throw std::bad_alloc();
    bcf1_t* const v = record.bcf.get();
    const int result = bcf_read(file_.get(), header_.hts.get(), v);
    if (result < -1 || (result == 0 && v->errcode != 0) ||
        (result == 0 && bcf_unpack(v, BCF_UN_ALL) != 0)) {
      fail(Fault::input,
           label_ + ": is damaged or truncated after " + std::to_string(number_) + " records");
    }
    if (result == -1) {
      if (file_->fp.bgzf->no_eof_block) {
        fail(Fault::input, label_ +
                               ": the end-of-file block is absent: records may have been cut off "
                               "with it");
      }
      return false;
    }
    record.number = ++number_;
    record.line.clear();
    record.window.clear();
    record.contig = bcf_hdr_id2name(header_.hts.get(), v->rid);
    record.at = v->pos;
    record.ref = v->n_allele > 0 ? v->d.allele[0] : "";
    record.alts.clear();
    for (int i = 1; i < static_cast<int>(v->n_allele); ++i) {
      record.alts.emplace_back(v->d.allele[i]);
    }
    return true;
  }

 private:
  std::string label_;
  HtsFileHandle file_;
  std::int64_t number_ = 0;
};

}  // namespace

std::unique_ptr<VariantReader> read_bcf(HFileHandle file, const std::string& label) {
  return std::make_unique<BcfReader>(std::move(file), label);
}

}  // namespace genossm
