// Shows the terminal's way to the settings with the address that this page came from.

document.getElementById("line").textContent = `curl -fo .env -d code=ABCD-2345 ${location.origin}/join`;
