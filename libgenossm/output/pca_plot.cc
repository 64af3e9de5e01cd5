#include "libgenossm/output/pca_plot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "libgenossm/output/svg.h"

namespace genossm {
namespace {

constexpr double kLeft = 74, kTop = 34, kSide = 520, kFoot = 52, kRight = 20;
constexpr std::size_t kMostNames = 60, kMostGroups = 10, kLongestName = 28;

struct Box {
  double left, top, right, bottom;
  bool meets(const Box& o) const {
    return left < o.right && o.left < right && top < o.bottom && o.top < bottom;
  }
};

std::string shortened(const std::string& name) {
  return name.size() <= kLongestName ? name : name.substr(0, kLongestName - 2) + "..";
}

class Drawing {
 public:
  explicit Drawing(const PcaPlot& plot)
      : plot_(plot), groups_(groups_of(plot)), svg_(width(), kTop + kSide + kFoot) {}

  std::string svg() {
    svg_.text(kLeft, 18, plot_.title, "font-size=\"12\"");
    svg_.rect(kLeft, kTop, kSide, kSide, "none", "stroke=\"#bbbbbb\"");
    if (plot_.x.empty()) {
      svg_.text(kLeft + kSide / 2, kTop + kSide / 2, "no points", "text-anchor=\"middle\"");
      return svg_.finish();
    }
    const auto [x_low, x_high] = std::minmax_element(plot_.x.begin(), plot_.x.end());
    const auto [y_low, y_high] = std::minmax_element(plot_.y.begin(), plot_.y.end());
    const Axis x(*x_low, *x_high, kLeft, kLeft + kSide);
    const Axis y(*y_low, *y_high, kTop + kSide, kTop);
    axes(x, y);
    points(x, y);
    legend();
    return svg_.finish();
  }

 private:
  // Groups in the order of their first point; none where there are too many to tell apart.
  static std::vector<std::string> groups_of(const PcaPlot& plot) {
    std::vector<std::string> out;
    for (const std::string& group : plot.groups) {
      if (std::find(out.begin(), out.end(), group) == out.end()) out.push_back(group);
      if (out.size() > kMostGroups) return {};
    }
    if (out.size() < 2) out.clear();
    return out;
  }

  double width() const {
    double wide = kRight;
    for (const std::string& group : groups_) {
      wide = std::max(wide, 24 + text_width(shortened(group)) + kRight);
    }
    return kLeft + kSide + wide;
  }

  void axes(const Axis& x, const Axis& y) {
    for (const double tick : x.ticks(6)) {
      svg_.line(x.at(tick), kTop, x.at(tick), kTop + kSide, kFaint);
      svg_.text(x.at(tick), kTop + kSide + 15, Axis::label(tick),
                "text-anchor=\"middle\" fill=\"#444444\"");
    }
    for (const double tick : y.ticks(6)) {
      svg_.line(kLeft, y.at(tick), kLeft + kSide, y.at(tick), kFaint);
      svg_.text(kLeft - 5, y.at(tick) + 3.5, Axis::label(tick),
                "text-anchor=\"end\" fill=\"#444444\"");
    }
    svg_.text(kLeft + kSide / 2, kTop + kSide + 36, plot_.x_axis,
              "text-anchor=\"middle\" font-size=\"11\"");
    svg_.text(0, 0, plot_.y_axis,
              "transform=\"translate(16," + std::to_string(kTop + kSide / 2) +
                  ") rotate(-90)\" text-anchor=\"middle\" font-size=\"11\"");
  }

  void points(const Axis& x, const Axis& y) {
    const std::size_t n = plot_.x.size();
    const double radius = n > 2000 ? 1.5 : n > 200 ? 2.2 : 3.5;
    std::vector<Box> taken;
    for (std::size_t i = 0; i < n; ++i) {
      const double px = x.at(plot_.x[i]), py = y.at(plot_.y[i]);
      svg_.circle(px, py, radius, colour(i), "fill-opacity=\"0.75\"");
      taken.push_back({px - radius, py - radius, px + radius, py + radius});
    }
    if (n > kMostNames) return;
    for (std::size_t i = 0; i < n; ++i) {
      name(shortened(plot_.names[i]), x.at(plot_.x[i]), y.at(plot_.y[i]), taken);
    }
  }

  // At the first side of the point where nothing is yet.
  void name(const std::string& text, double x, double y, std::vector<Box>& taken) {
    const double wide = text_width(text), gap = 6, high = 10;
    struct Place {
      double left, top;
      const char* anchor;  // so that what is next to the point is so in any font
    };
    const Place places[] = {{x + gap, y - high / 2, "start"},
                            {x - gap - wide, y - high / 2, "end"},
                            {x - wide / 2, y - gap - high, "middle"},
                            {x - wide / 2, y + gap, "middle"},
                            {x + gap, y - gap - high, "start"},
                            {x - gap - wide, y - gap - high, "end"},
                            {x + gap, y + gap, "start"},
                            {x - gap - wide, y + gap, "end"}};
    for (const auto& [left, top, anchor] : places) {
      const Box box{left, top, left + wide, top + high};
      const bool inside = box.left > kLeft && box.right < kLeft + kSide && box.top > kTop &&
                          box.bottom < kTop + kSide;
      if (!inside ||
          std::any_of(taken.begin(), taken.end(), [&](const Box& b) { return b.meets(box); })) {
        continue;
      }
      const std::string at = anchor;
      const double from = at == "start" ? left : at == "end" ? left + wide : left + wide / 2;
      svg_.text(from, top + 8.5, text, "text-anchor=\"" + at + "\" fill=\"#222222\"");
      taken.push_back(box);
      return;
    }
  }

  std::string colour(std::size_t point) const {
    if (groups_.empty()) return group_colour(0);
    const auto at = std::find(groups_.begin(), groups_.end(), plot_.groups[point]);
    return group_colour(static_cast<std::size_t>(at - groups_.begin()));
  }

  void legend() {
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const double y = kTop + 10 + 15 * static_cast<double>(i);
      svg_.circle(kLeft + kSide + 16, y - 3.5, 3.5, group_colour(i));
      svg_.text(kLeft + kSide + 24, y, shortened(groups_[i]), "fill=\"#222222\"");
    }
  }

  const PcaPlot& plot_;
  std::vector<std::string> groups_;
  Svg svg_;
};

}  // namespace

std::string pca_svg(const PcaPlot& plot) { return Drawing(plot).svg(); }

}  // namespace genossm
