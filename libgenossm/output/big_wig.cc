// bigWig through libBigWig, which writes to a stream of our own over the temporary file: what the
// disk refuses is known, and said once. The library would compress on one thread; so it is told to
// write its blocks plainly, the stream keeps them back, and several threads compress them. What the
// library's index says of them is put right at the end.
#include "libgenossm/output/big_wig.h"

#include <bigWig.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/big_wig_zoom.h"
#include "libgenossm/output/packed_blocks.h"
#include "libgenossm/output/track_writers.h"

namespace genossm {
namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 17;

// A block of values spaced evenly: contig, begin, end, step, span (4 bytes each), kind, a byte of
// nothing, the number of values (2 bytes), the values (4 bytes each).
constexpr std::size_t kBlockHead = 24, kCountAt = 22;

// A descriptor as a FILE, whose failures are noted and not passed on: libBigWig would go on all the
// same and print a line of its own.
struct Stream {
  int descriptor = -1;
  off64_t at = 0;
  int error = 0;
  bool holds = false;  // what is written goes to `held`
  std::string held;
};

void write_at(Stream& stream, std::string_view bytes, off64_t at) {
  while (stream.error == 0 && !bytes.empty()) {
    const ssize_t n = ::pwrite(stream.descriptor, bytes.data(), bytes.size(), at);
    if (n < 0 && errno != EINTR) stream.error = errno;
    if (n <= 0) continue;
    bytes.remove_prefix(static_cast<std::size_t>(n));
    at += n;
  }
}

ssize_t read_stream(void* cookie, char* to, size_t size) {
  auto& stream = *static_cast<Stream*>(cookie);
  const ssize_t n = ::pread(stream.descriptor, to, size, stream.at);
  if (n > 0) stream.at += n;
  return n;
}

ssize_t write_stream(void* cookie, const char* from, size_t size) {
  auto& stream = *static_cast<Stream*>(cookie);
  if (stream.holds) {
    stream.held.append(from, size);
  } else {
    write_at(stream, {from, size}, stream.at);
  }
  stream.at += static_cast<off64_t>(size);
  return static_cast<ssize_t>(size);
}

int seek_stream(void* cookie, off64_t* offset, int whence) {
  auto& stream = *static_cast<Stream*>(cookie);
  off64_t base = 0;
  if (whence == SEEK_CUR) base = stream.at;
  if (whence == SEEK_END) base = ::lseek64(stream.descriptor, 0, SEEK_END);
  if (base + *offset < 0) return -1;
  stream.at = *offset = base + *offset;
  return 0;
}

}  // namespace

struct BigWig::Impl {
  Impl(const OutputRequest& request, const std::vector<std::pair<std::string, Index>>& all)
      : file(request.path, request.force),
        zoom(file.temporary() + "-zoom", request.path, request.threads),
        packed(request.threads, zlib_packed) {
    for (const auto& [name, length] : all) {
      if (length > std::numeric_limits<std::uint32_t>::max()) {
        fail(Fault::usage, request.path + ": a bigWig has no room for '" + name + "' of " +
                               std::to_string(length) + " bases");
      }
      if (length <= 0) continue;  // nothing stands on it
      names.push_back(name);
      lengths.push_back(static_cast<std::uint32_t>(length));
    }
    if (names.empty()) fail(Fault::input, request.path + ": a bigWig without contigs");
    // The library knows the file by name only; its own stream makes way for ours.
    big_wig = bwOpen(file.temporary().c_str(), nullptr, "w");
    if (big_wig == nullptr) refuse(errno);
    stream.descriptor = ::open(file.temporary().c_str(), O_RDWR | O_CLOEXEC);
    if (stream.descriptor < 0) refuse(errno);
    std::fclose(big_wig->URL->x.fp);
    big_wig->URL->x.fp =
        fopencookie(&stream, "w+", {read_stream, write_stream, seek_stream, nullptr});
    if (big_wig->URL->x.fp == nullptr) throw std::bad_alloc();
    std::vector<const char*> texts;
    for (const std::string& name : names) texts.push_back(name.c_str());
    if (bwCreateHdr(big_wig, BigWigZoom::kMostLevels) != 0) throw std::bad_alloc();
    big_wig->cl =
        bwCreateChromList(texts.data(), lengths.data(), static_cast<std::int64_t>(names.size()));
    if (big_wig->cl == nullptr) throw std::bad_alloc();
    if (bwWriteHdr(big_wig) != 0) refuse(EIO);
    std::fflush(big_wig->URL->x.fp);
    check();
    big_wig->hdr->nLevels = 0;  // the library need not make them: there is room, and we do
    big_wig->writeBuffer->compressPsz = 0;  // blocks are written plainly
    packed_from = packed_end = stream.at;
    stream.holds = true;
  }

  ~Impl() { close(); }

  void close() {
    // After an error the library would only complain, in lines of its own.
    if (big_wig != nullptr && stream.error == 0) bwClose(big_wig);
    stream.holds = false;
    big_wig = nullptr;
    if (stream.descriptor >= 0) ::close(stream.descriptor);
    stream.descriptor = -1;
  }

  // Hands on what the library has written: whole blocks.
  void hand_on() {
    std::string_view rest = stream.held;
    while (rest.size() >= kBlockHead) {
      std::uint16_t values = 0;
      std::memcpy(&values, rest.data() + kCountAt, sizeof values);
      const std::size_t size = kBlockHead + sizeof(float) * values;
      if (rest.size() < size) break;
      packed.add(rest.substr(0, size), [this](std::string_view block) { put(block); });
      rest.remove_prefix(size);
    }
    stream.held.erase(0, stream.held.size() - rest.size());
    check();
  }

  void put(std::string_view block) {
    write_at(stream, block, packed_end);
    packed_end += static_cast<off64_t>(block.size());
    sizes.push_back(static_cast<std::uint32_t>(block.size()));
  }

  // The last block, and where all of them are: the library's index has them as it wrote them.
  void complete_blocks() {
    if (written) {
      // It ends a block before it finds out that there is no such contig.
      const float nothing = 0;
      if (bwAddIntervalSpanSteps(big_wig, nullptr, 0, 1, 1, &nothing, 1) == 0) {
        fail(Fault::internal, "libBigWig takes values without a contig");
      }
      big_wig->writeBuffer->l = 0;  // not even the head of a further block
    }
    std::fflush(big_wig->URL->x.fp);
    hand_on();
    packed.flush([this](std::string_view block) { put(block); });
    check();
    require(stream.held.empty() && sizes.size() == big_wig->writeBuffer->nBlocks, Fault::internal,
            "the blocks of libBigWig are not as they should be");
    auto at = static_cast<std::uint64_t>(packed_from);
    auto size = sizes.begin();
    for (bwLL* leaf = big_wig->writeBuffer->firstIndexNode; leaf != nullptr; leaf = leaf->next) {
      for (std::uint16_t i = 0; i < leaf->node->nChildren; ++i, ++size) {
        leaf->node->dataOffset[i] = at;
        leaf->node->x.size[i] = *size;
        at += *size;
      }
    }
    stream.holds = false;
    if (std::fseek(big_wig->URL->x.fp, static_cast<long>(packed_end), SEEK_SET) != 0) refuse(EIO);
  }

  void check() const {
    if (stream.error != 0) refuse(stream.error);
  }

  [[noreturn]] void refuse(int code) const {
    fail(Fault::output,
         file.path() + ": cannot be written (" + std::generic_category().message(code) + ")");
  }

  AtomicFile file;
  BigWigZoom zoom;
  Stream stream;
  PackedBlocks packed;
  off64_t packed_from = 0, packed_end = 0;  // of the blocks in the file
  std::vector<std::uint32_t> sizes;         // of each
  bigWigFile_t* big_wig = nullptr;
  std::vector<std::string> names;
  std::vector<std::uint32_t> lengths;
  std::size_t contig = 0;  // of the last base written
  bool written = false;
  Index next = 0;     // on it
  bool open = false;  // the library's block goes on at `next`
};

BigWig::BigWig(const OutputRequest& request,
               const std::vector<std::pair<std::string, Index>>& contigs) {
  GLOBAL_DEFAULTBUFFERSIZE = kBuffer;  // what bwInit() sets, without its network
  impl_ = std::make_unique<Impl>(request, contigs);
}

BigWig::~BigWig() = default;

void BigWig::begin(const std::string& contig, Index begin) {
  Impl& w = *impl_;
  std::size_t at = w.contig;
  while (at < w.names.size() && w.names[at] != contig) ++at;
  if (at == w.names.size() || (w.written && at == w.contig && begin < w.next)) {
    fail(Fault::input, w.file.path() + ": " + contig + ":" + std::to_string(begin + 1) +
                           " comes after a later place or overlaps one: a bigWig holds bases once "
                           "and in the order of the contigs. Sort and merge the regions");
  }
  if (at != w.contig || begin != w.next) w.open = false;
  w.contig = at;
  w.next = begin;
}

void BigWig::add(std::span<const float> values) {
  Impl& w = *impl_;
  for (std::size_t i = 0; i < values.size();) {
    if (std::isnan(values[i])) {
      w.open = false;
      ++w.next;
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < values.size() && !std::isnan(values[end])) ++end;
    const auto n = static_cast<std::uint32_t>(end - i);
    const int result = w.open ? bwAppendIntervalSpanSteps(w.big_wig, values.data() + i, n)
                              : bwAddIntervalSpanSteps(w.big_wig, w.names[w.contig].c_str(),
                                                       static_cast<std::uint32_t>(w.next), 1, 1,
                                                       values.data() + i, n);
    if (result != 0) fail(Fault::internal, "libBigWig does not take the values");
    w.hand_on();
    w.written = w.open = true;
    w.zoom.add(static_cast<std::uint32_t>(w.contig), w.lengths[w.contig],
               static_cast<std::uint32_t>(w.next), values.subspan(i, n));
    w.next += n;
    i = end;
  }
}

void BigWig::close() {
  Impl& w = *impl_;
  w.complete_blocks();
  bwClose(w.big_wig);
  w.big_wig = nullptr;
  w.check();
  w.zoom.append_to(w.stream.descriptor);
  w.file.sync();
}

void BigWig::publish() { impl_->file.publish(); }

namespace {

class OneBigWig final : public TrackWriter {
 public:
  OneBigWig(const OutputRequest& request, const TrackSpec& spec) : file_(request, spec.contigs) {}
  void begin_record(const RowLabel& label) override {
    const TrackPlace place = place_of(label);
    if (label.length > 0) file_.begin(place.contig, place.begin);
  }
  void rows(const TrackRows& rows) override {
    file_.add({rows.values.data, static_cast<std::size_t>(rows.values.extent[0])});
  }
  void end_record() override {}
  void finish() override {
    file_.close();
    file_.publish();
  }

 private:
  BigWig file_;
};

}  // namespace

std::unique_ptr<TrackWriter> write_big_wig(const OutputRequest& request, const TrackSpec& spec) {
  return std::make_unique<OneBigWig>(request, spec);
}

}  // namespace genossm
