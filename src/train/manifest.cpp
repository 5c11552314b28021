#include "ibot/train/manifest.h"

#include <nlohmann/json.hpp>

#include "ibot/base/error.h"
#include "ibot/base/version.h"

namespace ibot::train {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kManifestFormat = "ibot-manifest";
constexpr int kManifestVersion = 1;

/// The JSON object of a manifest of any version.
Json parse(const std::filesystem::path& path) {
  auto object = Json::parse(io::read_file(path), nullptr, /*allow_exceptions=*/false);
  const bool ours = object.is_object() && object.value("format", "") == kManifestFormat;
  IBOT_CHECK_AS(CheckpointError, ours, path.string(), ": expected a manifest of a checkpoint");
  return object;
}

void check_version(const std::filesystem::path& path, const Json& object) {
  const auto version = object.value("format_version", 0);
  IBOT_CHECK_AS(CheckpointError, version <= kManifestVersion, path.string(),
                ": expected manifest version ", kManifestVersion, ", got ", version,
                " written by ibot ", object.value("ibot_version", ""),
                "; install that version of ibot or a later one");
}

Manifest from_json(const std::filesystem::path& path, const Json& object) {
  try {
    Manifest manifest{.step = object.at("step"),
                      .samples = object.at("samples"),
                      .world_size = object.at("world_size"),
                      .config_hash = object.at("config_hash"),
                      .ibot_version = object.at("ibot_version"),
                      .commit = object.value("commit", "")};
    for (const auto& [name, file] : object.at("files").items()) {
      manifest.files[name] = {.size = file.at("size"), .xxh3 = file.at("xxh3")};
    }
    return manifest;
  } catch (const nlohmann::json::exception&) {
    throw CheckpointError(path.string() + ": manifest is incomplete");
  }
}

std::string first_difference(const std::filesystem::path& folder, const Manifest& manifest) {
  for (const auto& [name, expected] : manifest.files) {
    const auto path = folder / name;
    std::error_code problem;
    const auto size = std::filesystem::file_size(path, problem);
    if (problem) return concat(path.string(), ": ", problem.message());
    // Sizes first: they reveal truncation without reading the file.
    if (size != expected.size) {
      return concat(path.string(), ": expected ", expected.size, " bytes, got ", size);
    }
    if (io::digest_of(path) != expected) {
      return concat(path.string(), ": content differs from what was written");
    }
  }
  return {};
}

}  // namespace

void write_manifest(const std::filesystem::path& path, const Manifest& manifest) {
  Json files = Json::object();
  for (const auto& [name, digest] : manifest.files) {
    files[name] = {{"size", digest.size}, {"xxh3", digest.xxh3}};
  }
  const Json object{{"format", kManifestFormat},
                    {"format_version", kManifestVersion},
                    {"ibot_version", manifest.ibot_version},
                    {"commit", manifest.commit},
                    {"step", manifest.step},
                    {"samples", manifest.samples},
                    {"world_size", manifest.world_size},
                    {"config_hash", manifest.config_hash},
                    {"files", files}};
  io::write_file(path, object.dump(2) + '\n');
}

Manifest read_manifest(const std::filesystem::path& path) {
  const auto object = parse(path);
  check_version(path, object);
  return from_json(path, object);
}

std::optional<std::string> find_damage(const std::filesystem::path& manifest) {
  std::string damage;
  Json object;
  try {
    object = parse(manifest);
  } catch (const Error& problem) {
    return problem.what();
  }
  // Thrown, not returned: a newer version is no damage, and an older checkpoint must not be taken
  // in its place.
  check_version(manifest, object);
  try {
    damage = first_difference(manifest.parent_path(), from_json(manifest, object));
  } catch (const Error& problem) {
    damage = problem.what();
  }
  return damage.empty() ? std::nullopt : std::optional(damage);
}

}  // namespace ibot::train
