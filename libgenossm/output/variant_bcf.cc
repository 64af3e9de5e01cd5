// BCF through htslib, which writes to the descriptor of our temporary file.
#include <fcntl.h>
#include <htslib/hfile.h>
#include <htslib/vcf.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/io/hts.h"
#include "libgenossm/output/byte_sink.h"
#include "libgenossm/output/variant_writers.h"

namespace genossm {
namespace {

class BcfWriter final : public VariantWriter {
 public:
  BcfWriter(const VariantOutput& output, const VariantHeader& header)
      : path_(output.request.path), fields_(output.fields), parsed_(bcf_init()) {
    if (!parsed_) throw std::bad_alloc();
    make_header(output, header);
    if (!is_standard_output(path_)) file_.emplace(path_, output.request.force);
    if (!output.index.empty()) index_.emplace(output.request, output.index);
    const int descriptor = ::fcntl(file_ ? file_->descriptor() : STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (descriptor < 0) refuse();
    HFileHandle handle(hdopen(descriptor, "w"));
    if (!handle) {
      ::close(descriptor);
      refuse();
    }
    hts_.reset(hts_hopen(handle.get(), path_.c_str(), "wb"));
    if (!hts_) refuse();
    static_cast<void>(handle.release());  // the htsFile owns it now
    if (bcf_hdr_write(hts_.get(), header_.get()) != 0) refuse();
  }

  void write(const VariantRecord& record, std::span<const FieldValues> values) override {
    bcf1_t* v = record.bcf.get();
    if (v == nullptr) {
      v = parsed_.get();
      std::string line = header_format_ == VariantFormat::table ? vcf_line(record) : record.line;
      kstring_t text = KS_INITIALIZE;
      if (kputsn(line.data(), line.size(), &text) < 0) throw std::bad_alloc();
      const int result = vcf_parse(&text, header_.get(), v);
      ks_free(&text);
      if (result != 0 || v->errcode != 0) {
        fail(Fault::input, record.place() +
                               ": BCF cannot hold the record: the header does not define its "
                               "contig or one of its tags. Write vcf.gz");
      }
    }
    for (std::size_t f = 0; f < fields_.size(); ++f) {
      if (update(v, fields_[f], values[f], record.alts.empty()) != 0) {
        fail(Fault::input, record.place() + ": BCF cannot hold " + fields_[f].id);
      }
    }
    if (bcf_write(hts_.get(), header_.get(), v) != 0) refuse();
  }

  void finish() override {
    if (hts_close(hts_.release()) != 0) refuse();
    if (index_) {
      file_->sync();
      index_->build(file_->temporary(), true);
    }
    if (file_) file_->publish();
    if (index_) index_->publish();
  }

 private:
  void make_header(const VariantOutput& output, const VariantHeader& header) {
    header_format_ = header.format;
    if (header.format == VariantFormat::bcf) {
      // A record's numbers are those of its header: what is added comes after them.
      header_.reset(bcf_hdr_dup(header.hts.get()));
      if (!header_) throw std::bad_alloc();
      for (const VariantField& field : fields_) {
        bcf_hdr_remove(header_.get(), BCF_HL_INFO, field.id.c_str());
        append(info_line(field));
      }
      if (!output.provenance.empty()) append("##genossm=" + output.provenance);
    } else {
      std::string all;
      for (const std::string& line : vcf_header(output, header)) all += line + '\n';
      header_.reset(bcf_hdr_init("r"));
      if (!header_) throw std::bad_alloc();
      if (bcf_hdr_parse(header_.get(), all.data()) != 0) {
        fail(Fault::input, path_ + ": the VCF header cannot be written as BCF");
      }
      for (const auto& [name, length] : output.contigs) {
        if (bcf_hdr_name2id(header_.get(), name.c_str()) < 0) {
          append("##contig=<ID=" + name + ",length=" + std::to_string(length) + ">");
        }
      }
    }
    if (bcf_hdr_sync(header_.get()) != 0) throw std::bad_alloc();
  }

  void append(const std::string& line) {
    if (bcf_hdr_append(header_.get(), line.c_str()) != 0) {
      fail(Fault::internal, path_ + ": htslib does not take the header line " + line);
    }
  }

  int update(bcf1_t* v, const VariantField& field, const FieldValues& values, bool none) const {
    const char* id = field.id.c_str();
    const int type = field.type == VariantField::Type::real      ? BCF_HT_REAL
                     : field.type == VariantField::Type::integer ? BCF_HT_INT
                                                                 : BCF_HT_STR;
    if (none) return bcf_update_info(header_.get(), v, id, nullptr, 0, type);
    if (type == BCF_HT_STR) {
      return bcf_update_info_string(header_.get(), v, id, field_text(field, values).c_str());
    }
    if (type == BCF_HT_REAL) {
      std::vector<float> reals = values.reals;
      for (float& value : reals) {
        if (!(value == value)) bcf_float_set_missing(value);
      }
      return bcf_update_info_float(header_.get(), v, id, reals.data(),
                                   static_cast<int>(reals.size()));
    }
    std::vector<std::int32_t> integers = values.integers;
    for (std::int32_t& value : integers) {
      if (value == FieldValues::kMissing) value = bcf_int32_missing;
    }
    return bcf_update_info_int32(header_.get(), v, id, integers.data(),
                                 static_cast<int>(integers.size()));
  }

  [[noreturn]] void refuse() const {
    fail(Fault::output, shown_path(path_) + ": cannot be written (" +
                            std::generic_category().message(errno) + ")");
  }

  std::string path_;
  std::vector<VariantField> fields_;
  VariantFormat header_format_ = VariantFormat::vcf;
  std::unique_ptr<bcf_hdr_t, FreeBcf> header_;
  BcfHandle parsed_;
  std::optional<AtomicFile> file_;
  std::optional<VariantIndex> index_;
  HtsFileHandle hts_;
};

}  // namespace

std::unique_ptr<VariantWriter> write_bcf(const VariantOutput& output, const VariantHeader& header) {
  return std::make_unique<BcfWriter>(output, header);
}

}  // namespace genossm
