#include <limits>

#include "kernels/core/dtype.h"
#include "kernels/core/error.h"
#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/elements.h"
#include "libgenossm/output/label_table.h"
#include "libgenossm/output/little.h"
#include "libgenossm/output/matrix_writers.h"
#include "libgenossm/output/safetensors_file.h"
#include "libgenossm/output/unicode.h"

namespace genossm {
namespace {

DType dtype_of(Element element) {
  return element == Element::f32 ? DType::f32 : element == Element::f16 ? DType::f16 : DType::bf16;
}

// The matrix comes first and is written row by row, after a header with room for any numbers. The
// format allows no gap between tensors, so that after an odd number of 16-bit elements the integers
// are not aligned.
class SafetensorsWriter : public MatrixWriter {
 public:
  SafetensorsWriter(const OutputRequest& request, const MatrixSpec& spec)
      : spec_(spec), file_(request.path, request.force), encoder_(spec.element) {
    file_.write(widest_header());
    header_size_ = file_.size();
  }

  void begin_record(const RowLabel& label) override {
    encoder_.begin_record(label.name);
    labels_.add(label);
  }

  void rows(View<const float, 2> rows) override {
    for (Index i = 0; i < rows.extent[0]; ++i) {
      file_.write(encoder_.encode(rows.row(i), spec_.columns));
    }
    rows_ += rows.extent[0];
  }

  void end_record() override {
    if (spec_.per_base) offsets_.push_back(rows_);
  }

  void finish() override {
    SafetensorsOutputHeader header = begin_header();
    header.add(spec_.name.c_str(), dtype_of(spec_.element), {rows_, spec_.columns},
               file_.size() - header_size_);
    integers(header, "lengths", labels_.lengths());
    texts(header, "names", [&](std::size_t i) { return labels_.name(i); });
    if (labels_.has_regions()) {
      texts(header, "contigs", [&](std::size_t i) { return labels_.contig(i); });
      integers(header, "starts", labels_.begins());
      integers(header, "ends", labels_.ends());
    }
    if (spec_.per_base) integers(header, "offsets", offsets_);
    file_.overwrite(0, header.text(header_size_));
    file_.publish();
  }

 private:
  // All tensors that there may be, all numbers as long as numbers get.
  std::string widest_header() const {
    constexpr Index kLongest = std::numeric_limits<Index>::max();
    SafetensorsOutputHeader header = begin_header();
    header.add(spec_.name.c_str(), dtype_of(spec_.element), {kLongest, spec_.columns}, kLongest);
    for (const char* name : {"lengths", "names", "contigs", "starts", "ends", "offsets"}) {
      header.add(name, DType::i64, {kLongest}, 0);
    }
    return header.text(0);
  }

  SafetensorsOutputHeader begin_header() const {
    SafetensorsOutputHeader header;
    if (!spec_.provenance.empty()) header.note("provenance", spec_.provenance);
    return header;
  }

  void integers(SafetensorsOutputHeader& header, const char* name,
                const std::vector<std::int64_t>& values) {
    file_.write(bytes_of(values));
    header.add(name, DType::i64, {static_cast<Index>(values.size())}, bytes_of(values).size());
  }

  // One a line, without an end of line after the last.
  template <class At>
  void texts(SafetensorsOutputHeader& header, const char* name, At at) {
    const std::uint64_t before = file_.size();
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      if (i > 0) file_.write("\n");
      file_.write(to_field(to_utf8(at(i))));
    }
    const std::uint64_t bytes = file_.size() - before;
    header.add(name, DType::u8, {static_cast<Index>(bytes)}, bytes);
  }

  MatrixSpec spec_;
  AtomicFile file_;
  ElementEncoder encoder_;
  std::uint64_t header_size_ = 0;  // the eight bytes before it included
  LabelTable labels_;
  Index rows_ = 0;
  std::vector<std::int64_t> offsets_{0};
};

}  // namespace

std::unique_ptr<MatrixWriter> open_safetensors_matrix(const OutputRequest& request,
                                                      const MatrixSpec& spec) {
  return std::make_unique<SafetensorsWriter>(request, spec);
}

}  // namespace genossm
