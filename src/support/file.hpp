// Whole files: read, and replaced in one step so that a crash never leaves half a file.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace dovetail {

/// All bytes of a file. Throws Error, naming the file and the reason.
std::vector<unsigned char> read_file(const std::filesystem::path& path);

/// Replaces `path` atomically: `write` fills a file beside it, which is then synced and renamed
/// over it, and the folder is synced. When `write` throws, or the disk is full, the file beside is
/// removed and `path` stays as it was.
void replace_file(const std::filesystem::path& path,
                  const std::function<void(const std::filesystem::path& aside)>& write);

/// Has the file's bytes reach the disk, and leaves no copy of them in memory where the system lets
/// go of it, so that what is read next is what was written.
void sync_file(const std::filesystem::path& path);

/// Makes `path` another name of the file `existing`, atomically in place of what was there; a copy,
/// synced, where the file system has no hard links. Both names are to be in one file system.
void replace_by_link(const std::filesystem::path& path, const std::filesystem::path& existing);

/// replace_file with a text.
void replace_file_text(const std::filesystem::path& path, const std::string& text);

/// Makes a folder, parents too, and sees that files can be written there. Throws Error where not.
void make_writable_folder(const std::filesystem::path& path);

}  // namespace dovetail
