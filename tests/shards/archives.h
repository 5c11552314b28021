// Tar archives for tests, as others make them.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "ibot/io/tar.h"

namespace ibot::testing {

/// Names and contents.
using Members = std::vector<std::pair<std::string, std::string>>;

inline void write_tar(const std::filesystem::path& file, const Members& members) {
  std::filesystem::create_directories(file.parent_path());
  io::write_file(file, [&](const io::ByteSink& sink) {
    io::TarWriter tar(sink);
    for (const auto& [name, content] : members) tar.add(name, content);
    tar.finish();
  });
}

}  // namespace ibot::testing
