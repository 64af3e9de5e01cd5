// A track hub: what UCSC and other genome browsers load from a folder on the web. The four bigWigs
// stacked are the logo of the model's prediction.
#include <algorithm>
#include <array>
#include <filesystem>

#include "kernels/core/error.h"
#include "libgenossm/output/atomic_folder.h"
#include "libgenossm/output/big_wig.h"
#include "libgenossm/output/text_file.h"
#include "libgenossm/output/track_writers.h"

namespace genossm {
namespace {

// The colours that sequence logos have.
constexpr std::array<const char*, 4> kColours{"0,150,0", "0,0,200", "230,150,0", "200,0,0"};

class LogoHub final : public TrackWriter {
 public:
  LogoHub(const OutputRequest& request, const TrackSpec& spec)
      : folder_(request.path, request.force), spec_(spec) {
    for (const std::string& track : spec.tracks) {
      files_.push_back(std::make_unique<BigWig>(
          OutputRequest{folder_.temporary() + "/" + track + ".bw", "bw", true, request.threads},
          spec.contigs));
    }
  }

  void begin_record(const RowLabel& label) override {
    if (label.length == 0) return;
    const TrackPlace place = place_of(label);
    for (auto& file : files_) file->begin(place.contig, place.begin);
  }

  void rows(const TrackRows& rows) override {
    const Index n = rows.values.extent[0];
    values_.resize(static_cast<std::size_t>(n));
    for (std::size_t t = 0; t < files_.size(); ++t) {
      for (Index i = 0; i < n; ++i) values_[static_cast<std::size_t>(i)] = rows.values.row(i)[t];
      files_[t]->add(values_);
    }
  }

  void end_record() override {}

  void finish() override {
    for (auto& file : files_) {
      file->close();
      file->publish();
    }
    text("hub.txt",
         "hub genossm\nshortLabel genossm\nlongLabel What the model expects at each "
         "base\ngenomesFile genomes.txt\nemail nobody@localhost\n");
    text("genomes.txt", "genome " + spec_.assembly + "\ntrackDb trackDb.txt\n");
    std::string tracks =
        "track genossm\ntype bigWig\ncontainer multiWig\nshortLabel genossm\nlongLabel Logo of the "
        "prediction, bits\naggregate stacked\nviewLimits 0:2\nautoScale off\nmaxHeightPixels "
        "100:48:16\nvisibility full\nshowSubtrackColorOnUi on\n";
    for (std::size_t t = 0; t < files_.size(); ++t) {
      const std::string& name = spec_.tracks[t];
      tracks += "\n    track genossm_" + name + "\n    parent genossm\n    bigDataUrl " + name +
                ".bw\n    type bigWig\n    shortLabel " + name + "\n    longLabel " + name +
                ", bits\n    color " + kColours[t % kColours.size()] + "\n";
    }
    text("trackDb.txt", tracks);
    if (!spec_.provenance.empty()) text("provenance.json", spec_.provenance + "\n");
    folder_.publish();
  }

 private:
  void text(const std::string& name, const std::string& content) {
    TextFile file(folder_.temporary() + "/" + name, true, false);
    file.write(content);
    file.publish();
  }

  AtomicFolder folder_;
  TrackSpec spec_;
  std::vector<std::unique_ptr<BigWig>> files_;
  std::vector<float> values_;
};

}  // namespace

std::unique_ptr<TrackWriter> write_logo_hub(const OutputRequest& request, const TrackSpec& spec) {
  return std::make_unique<LogoHub>(request, spec);
}

}  // namespace genossm
