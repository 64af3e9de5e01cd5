#include "libgenossm/output/track_plot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "libgenossm/output/svg.h"
#include "libgenossm/output/text_file.h"
#include "libgenossm/output/track_writers.h"

namespace genossm {
namespace {

constexpr double kLeft = 70, kRight = 84, kTop = 34, kWide = 860, kPanel = 110, kGap = 18;
constexpr double kHead = 20, kFoot = 40;
constexpr Index kMostBins = 860;  // a pixel each
constexpr Index kMostLetters = 120;

using Points = std::vector<std::pair<double, double>>;

// What became of the bases that share a place on the page.
struct Bin {
  float least = std::numeric_limits<float>::infinity(), largest = -least;
  double sum = 0;
  Index count = 0;
  double mean() const { return sum / static_cast<double>(count); }
};

struct Section {
  RowLabel label;
  Index bins = 0, seen = 0;
  std::vector<Bin> columns;  // [tracks, bins]
  std::string bases;         // of a short record
};

std::string grouped(long long n) {
  const std::string digits = std::to_string(n);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

class Drawing {
 public:
  Drawing(const TrackPlotSpec& spec, const std::vector<Section>& sections)
      : spec_(spec),
        sections_(sections),
        section_height_(kHead + kFoot + static_cast<double>(spec.panels.size()) * (kPanel + kGap)),
        svg_(kLeft + kWide + kRight,
             kTop + static_cast<double>(sections.size()) * section_height_) {}

  std::string svg() {
    svg_.text(kLeft, 18, spec_.title, "font-size=\"12\"");
    double y = kTop;
    for (const Section& section : sections_) {
      draw(section, y);
      y += section_height_;
    }
    return svg_.finish();
  }

 private:
  // The middle of bin b.
  static double x_of(const Section& s, double bin) {
    return kLeft + kWide * (bin + 0.5) / static_cast<double>(std::max<Index>(1, s.bins));
  }

  void draw(const Section& section, double top) {
    const TrackPlace place = place_of(section.label);
    const Index length = section.label.length;
    std::string head = section.label.name;
    const std::string where =
        place.contig + ':' + grouped(place.begin + 1) + '-' + grouped(place.begin + length);
    if (section.label.contig.empty()) {
      head += ", " + grouped(length) + " bases";
    } else if (head.find(place.contig + ':') == std::string::npos) {
      head += " (" + where + ')';
    }
    svg_.text(kLeft, top + 12, head, "font-weight=\"bold\"");
    double y = top + kHead;
    for (const PlotPanel& panel : spec_.panels) {
      draw(section, panel, y);
      y += kPanel + kGap;
    }
    letters(section, y - kGap);
    places(section, y - kGap + (section.bases.empty() ? 0 : 12));
  }

  void draw(const Section& section, const PlotPanel& panel, double top) {
    const double bottom = top + kPanel;
    svg_.rect(kLeft, top, kWide, kPanel, "none", "stroke=\"#bbbbbb\"");
    // Turned, it stands beside its panel.
    svg_.text(0, 0, panel.axis,
              "transform=\"translate(14," + std::to_string((top + bottom) / 2) +
                  ") rotate(-90)\" text-anchor=\"middle\" fill=\"#444444\"");
    double low = std::numeric_limits<double>::infinity(), high = -low;
    const bool alone = panel.columns.size() == 1;
    const auto value = [&](double v) { return std::isfinite(v) && (!panel.logarithmic || v > 0); };
    for (const std::size_t column : panel.columns) {
      for (Index b = 0; b < section.bins; ++b) {
        const Bin& bin = at(section, column, b);
        if (bin.count == 0) continue;
        for (const double v : {double{bin.least}, double{bin.largest}, bin.mean()}) {
          if (!value(v) || (!alone && v != bin.mean())) continue;
          low = std::min(low, v);
          high = std::max(high, v);
        }
      }
    }
    if (!(low <= high)) {
      svg_.text(kLeft + kWide / 2, (top + bottom) / 2 + 4, "no values",
                "text-anchor=\"middle\" fill=\"#888888\"");
      return;
    }
    const Axis axis(low, high, bottom, top, panel.logarithmic);
    for (const double tick : axis.ticks(5)) {
      const double y = axis.at(tick);
      svg_.line(kLeft, y, kLeft + kWide, y, kFaint);
      svg_.text(kLeft - 5, y + 3.5, Axis::label(tick), "text-anchor=\"end\" fill=\"#444444\"");
    }
    for (std::size_t i = 0; i < panel.columns.size(); ++i) {
      curve(section, panel, i, axis, alone);
    }
    if (!alone) legend(panel, top);
  }

  void curve(const Section& section, const PlotPanel& panel, std::size_t i, const Axis& axis,
             bool alone) {
    const std::string colour = alone ? "#255c99" : series_colour(i, panel.columns.size());
    const bool binned = section.label.length > section.bins;
    Points line, band;
    Points under;
    const auto end_line = [&] {
      if (alone && binned && !band.empty()) {
        band.insert(band.end(), under.rbegin(), under.rend());
        svg_.polygon(band, "#c9dbec");
      }
      svg_.polyline(line, colour, alone ? "stroke-width=\"1\"" : "stroke-width=\"1.2\"");
      line.clear();
      band.clear();
      under.clear();
    };
    for (Index b = 0; b < section.bins; ++b) {
      const Bin& bin = at(section, panel.columns[i], b);
      const double v = bin.count > 0 ? bin.mean() : std::nan("");
      if (!std::isfinite(v) || (panel.logarithmic && v <= 0)) {
        end_line();
        continue;
      }
      const double x = x_of(section, static_cast<double>(b));
      line.emplace_back(x, axis.at(v));
      if (alone && binned && (!panel.logarithmic || bin.least > 0)) {
        band.emplace_back(x, axis.at(double{bin.largest}));
        under.emplace_back(x, axis.at(double{bin.least}));
      }
    }
    end_line();
  }

  // Names of lines at the right; of many every so many, the last among them.
  void legend(const PlotPanel& panel, double top) {
    const std::size_t n = panel.columns.size();
    constexpr double kLine = 11;
    const auto room = static_cast<std::size_t>(kPanel / kLine);
    const std::size_t every = (n + room - 1) / room;
    double y = top + 8;
    for (std::size_t i = 0; i < n; ++i) {
      if ((n - 1 - i) % every != 0) continue;
      svg_.line(kLeft + kWide + 6, y - 3, kLeft + kWide + 18, y - 3, series_colour(i, n),
                "stroke-width=\"2\"");
      svg_.text(kLeft + kWide + 22, y, panel.names[i], "fill=\"#444444\"");
      y += kLine;
    }
  }

  void letters(const Section& section, double bottom) {
    const double size = std::min(10.0, kWide / static_cast<double>(section.bins) * 1.3);
    for (std::size_t i = 0; i < section.bases.size(); ++i) {
      const char base = section.bases[i];
      const char upper = base >= 'a' && base <= 'z' ? static_cast<char>(base - 32) : base;
      svg_.text(x_of(section, static_cast<double>(i)), bottom + 11, std::string(1, base),
                "text-anchor=\"middle\" font-size=\"" + std::to_string(size) + "\" fill=\"" +
                    base_colour(upper) + '"');
    }
  }

  void places(const Section& section, double bottom) {
    const Index length = section.label.length;
    if (length == 0) return;
    const Index begin = place_of(section.label).begin;
    double taken = -1e9;
    for (const long long place : round_places(begin + 1, begin + length, 8)) {
      const double share = (static_cast<double>(place - begin) - 0.5) / static_cast<double>(length);
      const double x = kLeft + kWide * share;
      const std::string text = grouped(place);
      const double half = text_width(text) / 2;
      if (x - half < taken) continue;
      taken = x + half + 6;
      svg_.line(x, bottom, x, bottom + 4, "#888888");
      svg_.text(x, bottom + 15, text, "text-anchor=\"middle\" fill=\"#444444\"");
    }
  }

  const Bin& at(const Section& section, std::size_t column, Index bin) const {
    return section
        .columns[column * static_cast<std::size_t>(section.bins) + static_cast<std::size_t>(bin)];
  }

  const TrackPlotSpec& spec_;
  const std::vector<Section>& sections_;
  double section_height_;
  Svg svg_;
};

class PlottedTracks final : public TrackWriter {
 public:
  PlottedTracks(std::unique_ptr<TrackWriter> to, TrackPlotSpec spec, const std::string& path,
                bool force)
      : to_(std::move(to)), spec_(std::move(spec)), file_(path, force, false) {}

  void begin_record(const RowLabel& label) override {
    if (sections_.size() == kMostPlotRecords) {
      fail(Fault::usage, "--plot draws at most " + std::to_string(kMostPlotRecords) +
                             " records. Choose regions, or leave it out");
    }
    Section section;
    section.label = label;
    section.bins = std::min(label.length, kMostBins);
    sections_.push_back(std::move(section));
    to_->begin_record(label);
  }

  void rows(const TrackRows& rows) override {
    Section& section = sections_.back();
    const Index tracks = rows.values.extent[1];
    if (section.columns.empty()) {
      section.columns.resize(static_cast<std::size_t>(tracks * section.bins));
    }
    if (section.label.length <= kMostLetters) section.bases += rows.bases;
    for (Index r = 0; r < rows.values.extent[0]; ++r) {
      const Index bin = section.seen++ * section.bins / section.label.length;
      for (Index t = 0; t < tracks; ++t) {
        const float value = rows.values.row(r)[t];
        if (!std::isfinite(value)) continue;
        Bin& to = section.columns[static_cast<std::size_t>(t * section.bins + bin)];
        to.least = std::min(to.least, value);
        to.largest = std::max(to.largest, value);
        to.sum += double{value};
        ++to.count;
      }
    }
    to_->rows(rows);
  }

  void end_record() override {
    Section& section = sections_.back();
    if (section.columns.empty()) {  // an empty record
      std::size_t most = 0;
      for (const PlotPanel& panel : spec_.panels) {
        for (const std::size_t column : panel.columns) most = std::max(most, column + 1);
      }
      section.columns.resize(most * static_cast<std::size_t>(section.bins));
    }
    to_->end_record();
  }

  void finish() override {
    file_.write(Drawing(spec_, sections_).svg());
    file_.sync();
    to_->finish();
    file_.publish();
  }

 private:
  std::unique_ptr<TrackWriter> to_;
  TrackPlotSpec spec_;
  TextFile file_;
  std::vector<Section> sections_;
};

}  // namespace

std::unique_ptr<TrackWriter> plot_tracks(std::unique_ptr<TrackWriter> to, TrackPlotSpec spec,
                                         const std::string& path, bool force) {
  return std::make_unique<PlottedTracks>(std::move(to), std::move(spec), path, force);
}

}  // namespace genossm
