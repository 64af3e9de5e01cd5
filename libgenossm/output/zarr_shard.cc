#include "libgenossm/output/zarr_shard.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/base/sha256.h"
#include "libgenossm/output/elements.h"
#include "libgenossm/output/frames.h"
#include "libgenossm/output/kept_matrix.h"
#include "libgenossm/output/matrix_frames.h"
#include "libgenossm/output/zarr_store.h"

namespace genossm {
namespace {

// Takes the rows of a shard in order. Of the chunk that is being filled two versions are kept: the
// frames with the rows and those without; which of them goes into the part is known when the chunk
// is full, or the shard at its end.
class ShardWriter final : public MatrixWriter {
 public:
  ShardWriter(const ZarrFolder& store, const MatrixSpec& spec, Index first_row, Journal& part)
      : spec_(spec),
        encoder_(spec.element),
        part_(part),
        before_((zarr_block(spec) - first_row % zarr_block(spec)) % zarr_block(spec)),
        array_(zarr_matrix_array(store, spec, first_row + before_)) {}

  void begin_record(const RowLabel& label) override {
    encoder_.begin_record(label.name);
    Packer frame;
    frame.number(MatrixFrame::kBegin);
    pack_label(frame, label);
    put(frame.bytes());
  }

  void rows(View<const float, 2> rows) override {
    for (Index i = 0; i < rows.extent[0]; ++i) {
      const std::string_view row = encoder_.encode(rows.row(i), spec_.columns);
      const std::string head = Packer().number(MatrixFrame::kRows).number(Index{1}).bytes();
      if (before_ > 0) {
        --before_;
        add(head);
        add(row);
        continue;
      }
      array_.add(row);
      ++standing_;
      if (array_.at_border()) {
        end_chunk();
      } else {
        with_rows_ += head;
        with_rows_ += row;
      }
    }
  }

  void end_record() override { put(Packer().number(MatrixFrame::kEnd).bytes()); }

  // The rows of the chunk that is not full: the next part has more of them, or there are no more.
  void finish() override { add(with_rows_); }

 private:
  void put(const std::string& frame) {
    if (array_.at_border()) return add(frame);
    with_rows_ += frame;
    end_standing();
    without_ += frame;
  }

  void end_standing() {
    if (standing_ == 0) return;
    without_ += Packer().number(MatrixFrame::kStanding).number(standing_).bytes();
    standing_ = 0;
  }

  void end_chunk() {
    end_standing();
    const std::string& bytes = array_.last_chunk();
    const auto crc = static_cast<std::uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
    without_ += Packer()
                    .number(MatrixFrame::kChunk)
                    .number(array_.chunks() - 1)
                    .number(static_cast<std::uint64_t>(bytes.size()))
                    .number(crc)
                    .bytes();
    add(without_);
    without_.clear();
    with_rows_.clear();
  }

  void add(std::string_view frames) {
    part_.add(frames);
    added_ += frames.size();
    if (added_ < Journal::kSegment) return;
    part_.commit("unfinished");
    added_ = 0;
  }

  MatrixSpec spec_;
  ElementEncoder encoder_;
  Journal& part_;
  Index before_;  // rows up to the first chunk that begins here
  ZarrArray array_;
  Index standing_ = 0;  // rows since the last frame
  std::string with_rows_, without_;
  std::size_t added_ = 0;
};

}  // namespace

std::string shard_folder(const std::string& output, const Facts& facts) {
  Sha256 sha;
  for (const auto& [name, value] : facts) {
    if (name == "spec.shard") continue;
    const std::string line = name + '\t' + value + '\n';
    sha.update(std::as_bytes(std::span(line.data(), line.size())));
  }
  std::string path = output;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  constexpr std::size_t kDigits = 12;
  return path + ".shards-" + sha.hex().substr(0, kDigits);
}

void write_zarr_shard(
    const std::function<void(const std::function<void(std::string_view)>&)>& replay,
    const MatrixSpec& spec, Index first_row, const std::string& folder, Journal& part) {
  const ZarrFolder store(folder, folder);
  ShardWriter writer(store, spec, first_row, part);
  MatrixReplay rows(writer, spec);
  replay([&](std::string_view frames) { rows(frames); });
  writer.finish();
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;  // no chunk was whole
  const bool good = ::syncfs(descriptor) == 0;
  const int code = errno;
  ::close(descriptor);
  if (!good) {
    fail(Fault::output,
         folder + ": cannot be written (" + std::generic_category().message(code) + ")");
  }
}

}  // namespace genossm
