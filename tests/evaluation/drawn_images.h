// Labeled images that are easy to tell apart.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ibot/io/file.h"
#include "support/temporary_folder.h"

namespace ibot::testing {

/// train/ and val/ with classes `dark` and `light` of `count` images each: 16 x 16 pixels of one
/// gray, a little another in each image.
class DrawnImages {
 public:
  explicit DrawnImages(int count = 4) {
    for (const char* half : {"train", "val"}) {
      for (int i = 0; i < count; ++i) {
        draw(root_ / half / "dark" / (std::to_string(i) + ".ppm"), 20 + 3 * i);
        draw(root_ / half / "light" / (std::to_string(i) + ".ppm"), 220 + 3 * i);
      }
    }
  }

  const std::filesystem::path& root() const { return root_.path(); }

 private:
  static void draw(const std::filesystem::path& file, int gray) {
    std::filesystem::create_directories(file.parent_path());
    io::write_file(file, "P6\n16 16\n255\n" + std::string(3 * 16 * 16, static_cast<char>(gray)));
  }

  TemporaryFolder root_;
};

}  // namespace ibot::testing
