#include "ibot/report/kept_pictures.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/base/natural_order.h"
#include "ibot/io/file.h"

namespace ibot::report {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostPictures = 12;  // of a run
/// Larger ones would make the page heavy: it holds all pictures itself.
constexpr uintmax_t kMostBytes = 4 << 20;

void list_pictures(const fs::path& folder, std::vector<std::string>& files) {
  std::error_code problem;
  for (fs::directory_iterator at(folder, problem), end; !problem && at != end;
       at.increment(problem)) {
    const auto extension = at->path().extension();
    std::error_code unknown;
    const bool picture = extension == ".png" || extension == ".jpg";
    if (!picture || !at->is_regular_file(unknown) || at->file_size(unknown) > kMostBytes) continue;
    files.push_back(at->path().string());
  }
}

/// By content: an extension promises nothing.
std::string type_of(const std::string& bytes) {
  if (bytes.starts_with("\x89PNG\r\n")) return "image/png";
  if (bytes.starts_with("\xff\xd8\xff")) return "image/jpeg";
  return "";
}

std::vector<eval::Figure> figures_in(const fs::path& folder, size_t& total) {
  std::vector<std::string> files;
  list_pictures(folder, files);
  list_pictures(folder / "drawings", files);
  std::sort(files.begin(), files.end(), natural_less);
  total = files.size();
  std::vector<eval::Figure> figures;
  for (const auto& file : files) {
    if (figures.size() == kMostPictures) break;
    try {
      auto bytes = io::read_file(file);
      auto type = type_of(bytes);
      if (type.empty()) continue;
      figures.push_back(
          {fs::path(file).lexically_relative(folder).string(), std::move(type), std::move(bytes)});
    } catch (const Error&) {
      continue;  // gone since it was listed
    }
  }
  return figures;
}

}  // namespace

std::vector<PictureSection> kept_pictures(const std::vector<RunRecord>& runs) {
  std::vector<PictureSection> sections;
  for (const auto& run : runs) {
    size_t total = 0;
    auto figures = figures_in(run.folder, total);
    if (figures.empty()) continue;
    const auto text =
        concat(figures.size(), " of ", total, " pictures in ", run.folder.string(), ".");
    sections.push_back({"Pictures of " + run.name, text, std::move(figures)});
  }
  return sections;
}

}  // namespace ibot::report
