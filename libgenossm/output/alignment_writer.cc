#include "libgenossm/output/alignment_writer.h"

#include <fcntl.h>
#include <htslib/sam.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <optional>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/io/hts.h"
#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/byte_sink.h"

namespace genossm {
namespace {

class Writer final : public TaggedAlignments {
 public:
  explicit Writer(const AlignmentOutput& output) : output_(output), path_(output.request.path) {}

  // The output is opened here, so that an input that cannot be read leaves nothing behind.
  void header(const sam_hdr_t& header) override {
    header_.reset(sam_hdr_dup(&header));
    if (!header_) throw std::bad_alloc();
    if (!output_.version.empty() &&
        sam_hdr_add_pg(header_.get(), "genossm", "VN", output_.version.c_str(), "CL",
                       output_.command.c_str(), static_cast<char*>(nullptr)) != 0) {
      fail(Fault::input, path_ + ": the @PG lines of the input are malformed");
    }
    if (!is_standard_output(path_)) file_.emplace(path_, output_.request.force);
    const int descriptor = ::fcntl(file_ ? file_->descriptor() : STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (descriptor < 0) refuse();
    HFileHandle handle(hdopen(descriptor, "w"));
    if (!handle) {
      ::close(descriptor);
      refuse();
    }
    hts_.reset(hts_hopen(handle.get(), path_.c_str(), output_.type == "bam" ? "wb" : "w"));
    if (!hts_) refuse();
    static_cast<void>(handle.release());  // the htsFile owns it now
    if (sam_hdr_write(hts_.get(), header_.get()) != 0) refuse();
  }

  void alignment(const bam1_t& alignment, bool given) override {
    AlignmentHandle copy(bam_dup1(&alignment));
    if (!copy) throw std::bad_alloc();
    for (const std::string& tag : output_.tags) {
      if (std::uint8_t* old = bam_aux_get(copy.get(), tag.c_str())) bam_aux_del(copy.get(), old);
    }
    waiting_.push_back({std::move(copy), given});
    write_ready();
  }

  void result(const std::string& label, float value) override {
    bam1_t* const read = next_read();
    if (!label.empty() &&
        bam_aux_update_str(read, "gc", static_cast<int>(label.size() + 1), label.c_str()) != 0) {
      throw std::bad_alloc();
    }
    if (bam_aux_update_float(read, "gq", value) != 0) throw std::bad_alloc();
    waiting_.front().given = false;
    write_ready();
  }

  void scores(std::optional<float> sum, const std::vector<float>& bases) override {
    bam1_t* const read = next_read();
    std::vector<float> values = bases;  // htslib takes them by a pointer that may change them
    if ((sum && bam_aux_update_float(read, "gl", *sum) != 0) ||
        bam_aux_update_array(read, "gb", 'f', static_cast<std::uint32_t>(values.size()),
                             values.data()) != 0) {
      throw std::bad_alloc();
    }
    waiting_.front().given = false;
    write_ready();
  }

  void finish() override {
    require(waiting_.empty(), Fault::internal, "alignments: reads without a result");
    if (hts_close(hts_.release()) != 0) refuse();
    if (file_) file_->publish();
  }

 private:
  struct Waiting {
    AlignmentHandle alignment;
    bool given = false;  // and still without a result
  };

  bam1_t* next_read() const {
    require(!waiting_.empty() && waiting_.front().given, Fault::internal,
            "alignments: a result without a read");
    return waiting_.front().alignment.get();
  }

  void write_ready() {
    while (!waiting_.empty() && !waiting_.front().given) {
      if (sam_write1(hts_.get(), header_.get(), waiting_.front().alignment.get()) < 0) refuse();
      waiting_.pop_front();
    }
  }

  [[noreturn]] void refuse() const {
    const int code = errno;
    fail(Fault::output, path_ + ": cannot be written" +
                            (code != 0 ? ": " + std::generic_category().message(code) : ""));
  }

  AlignmentOutput output_;
  std::string path_;
  std::optional<AtomicFile> file_;
  HeaderHandle header_;
  HtsFileHandle hts_;
  std::deque<Waiting> waiting_;
};

}  // namespace

std::unique_ptr<TaggedAlignments> TaggedAlignments::open(const AlignmentOutput& output) {
  return std::make_unique<Writer>(output);
}

}  // namespace genossm
