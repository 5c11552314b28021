// What was learnt of a data set at some cost, and is kept in a file for the next time.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "data/cache_places.h"
#include "data/listing_turn.h"

namespace ibot::data {

/// How to keep a `Known` of one path.
template <class Known>
struct Keeping {
  /// Ends the name of the file; see cache_places.
  std::string kind;
  /// The folder in which one process of a machine makes it while others wait.
  std::filesystem::path turn;
  /// What the file holds, if that is whole, of this version and true today. Anything thrown counts
  /// as nothing: whatever is wrong with a file, what it was made from can be read.
  std::function<std::optional<Known>(const std::filesystem::path& file)> read;
  std::function<Known()> make;
  /// Whether a new one is worth a file, and safe to keep.
  std::function<bool(const Known&)> is_kept;
  std::function<void(const std::filesystem::path& file, const Known&)> write;
};

/// What the first usable file holds, else a new one, which is kept for the next time.
template <class Known>
Known kept_or_made(const std::filesystem::path& path, const Keeping<Known>& keeping) {
  const auto places = cache_places(path, keeping.kind);
  const auto kept = [&]() -> std::optional<Known> {
    for (const auto& place : places) {
      std::error_code error;
      if (!std::filesystem::is_regular_file(place, error)) continue;
      try {
        if (auto known = keeping.read(place)) return known;
      } catch (const std::exception&) {
        continue;
      }
    }
    return std::nullopt;
  };
  if (auto known = kept()) return *std::move(known);
  // Another process may have made it meanwhile: asked again before the work.
  const ListingTurn turn(keeping.turn);
  if (auto known = kept()) return *std::move(known);
  auto made = keeping.make();
  if (keeping.is_kept(made)) {
    keep_in_cache(places, [&](const auto& place) { keeping.write(place, made); });
  }
  return made;
}

}  // namespace ibot::data
