// A small set of images with label maps, in the layout of ADE20K.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "ibot/data/index_map.h"
#include "support/temporary_folder.h"

namespace ibot::testing {

inline void write_bytes(const std::filesystem::path& file, const std::vector<uint8_t>& bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

/// Images of 40 x 30 pixels whose label map has value 1 on the left, 2 on the right and 0 in the
/// top row.
class SceneFolder {
 public:
  explicit SceneFolder(int64_t images) {
    for (int64_t i = 0; i < images; ++i) {
      write("training", "scene_" + std::to_string(i), label());
      write("validation", "scene_" + std::to_string(i), label());
    }
    std::ofstream(path() / "classes.txt") << "left\nright\n";
  }

  static torch::Tensor label() {
    auto map = torch::ones({30, 40}, torch::kByte);
    map.slice(1, 20).fill_(2);
    map[0].zero_();
    return map;
  }

  void write(const std::string& split, const std::string& name, const torch::Tensor& map) const {
    const auto picture = (map * 60).unsqueeze(0).expand({3, -1, -1});
    write_bytes(path() / "images" / split / (name + ".png"), data::color_png(picture));
    write_label(split, name, map);
  }

  void write_label(const std::string& split, const std::string& name,
                   const torch::Tensor& map) const {
    write_bytes(path() / "annotations" / split / (name + ".png"), data::index_png(map));
  }

  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

}  // namespace ibot::testing
