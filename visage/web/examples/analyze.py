import requests

with open("photo.jpg", "rb") as photo:
    answer = requests.post("http://localhost:8080/analyze?min_confidence=0.7", files={"image": photo}, timeout=60)
answer.raise_for_status()
with open("faces.jpg", "wb") as picture:
    picture.write(answer.content)
