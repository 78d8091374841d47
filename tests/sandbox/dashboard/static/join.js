// Completes the curl command with the address of this page, and copies the settings.

const command = document.getElementById("curl-command");
if (command) command.textContent = `curl -fo .env -d code=ABCD-2345 ${location.origin}/join`;

document.getElementById("copy")?.addEventListener("click", async () => {
  const settings = document.getElementById("settings");
  let text = "Copied";
  try {
    await navigator.clipboard.writeText(settings.textContent);
  } catch {
    // Browsers offer the clipboard to https pages only. Here the text is selected, so that one key press copies it.
    getSelection().selectAllChildren(settings);
    text = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C";
  }
  document.getElementById("copied").textContent = text;
});
